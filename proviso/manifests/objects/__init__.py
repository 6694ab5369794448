"""The Kubernetes objects that a release is rendered to, as strict types.

A field that is not declared here cannot be written; a rendered file loads back into the same value.
"""
