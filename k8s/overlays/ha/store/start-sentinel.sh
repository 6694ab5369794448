# A Sentinel keeps its name over a restart: under another one the others would wait for a dead one.
umask 077
password="$(cat /etc/valkey/sentinel/password)"
{
  echo "port 26379"
  echo "dir /run/valkey"
  echo "requirepass $password"
  echo "sentinel myid $(hostname | sha1sum | cut -c 1-40)"
  echo "sentinel resolve-hostnames yes"
  echo "sentinel announce-hostnames yes"
  echo "sentinel sentinel-pass $password"
  echo "sentinel monitor store $(sh /etc/valkey/conf/primary.sh) 6379 2"
  echo "sentinel auth-user store sentinel"
  echo "sentinel auth-pass store $password"
  echo "sentinel down-after-milliseconds store 700"
  echo "sentinel failover-timeout store 6000"
  echo "sentinel parallel-syncs store 1"
} > /run/valkey/sentinel.conf
exec valkey-server /run/valkey/sentinel.conf --sentinel
