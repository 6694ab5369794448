"""What runs in the pod, and what training must therefore share with it.

The control plane (`proviso`) imports this package; nothing here imports the control plane.
The one availability rule, the one encoder and the online key's codec live here.
"""
