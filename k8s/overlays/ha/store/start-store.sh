# Starts a store as primary or as a replica of it. Sentinel changes that later, in this file: it is
# in memory, and only this pod reads it.
umask 077
me="$(hostname).store-peers.proviso.svc.cluster.local"
primary="$(sh /etc/valkey/conf/primary.sh)"
if [ "$primary" = "$me" ]; then
  # A primary that crashed is being replaced right now: after a while the answer is final.
  sleep 4
  primary="$(sh /etc/valkey/conf/primary.sh)"
fi
{
  echo "include /etc/valkey/conf/valkey.conf"
  echo "replica-announce-ip $me"
  echo "masteruser replica"
  printf 'masterauth %s\n' "$(cat /etc/valkey/replica/password)"
  [ "$primary" = "$me" ] || echo "replicaof $primary 6379"
} > /run/valkey/valkey.conf
exec valkey-server /run/valkey/valkey.conf
