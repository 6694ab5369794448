"""The Kubernetes objects that a release is rendered to, as strict types: what exists is what is
used. A key that is not here cannot be written, and a rendered file loads back into the same value.
"""
