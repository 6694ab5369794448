# Before a primary stops: its replica takes over at once, not when the Sentinels miss it. Without an
# answer it stops as if it had crashed.
is_primary() { sh /etc/valkey/conf/is-primary.sh; }
is_primary || exit 0
REDISCLI_AUTH="$(cat /etc/valkey/sentinel/password)" timeout 2 valkey-cli --no-auth-warning \
  -h sentinel.proviso.svc.cluster.local -p 26379 SENTINEL FAILOVER store
tries=0
while is_primary && [ "$tries" -lt 30 ]; do
  sleep 0.1
  tries=$((tries + 1))
done
