# Asks the store as `keeper`, who may load the users' file again and say what it holds:
#     sh keeper.sh ACL LOAD
# Its password is in this pod only; arguments and environment of the pod never have it.
REDISCLI_AUTH="$(cat /etc/valkey/keeper/password)" \
  exec valkey-cli --no-auth-warning --user keeper "$@"
