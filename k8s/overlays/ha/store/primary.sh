# Who is primary: what the Sentinels say; the first store where none answers.
said="$(REDISCLI_AUTH="$(cat /etc/valkey/sentinel/password)" timeout 2 valkey-cli \
  --no-auth-warning -h sentinel.proviso.svc.cluster.local -p 26379 \
  SENTINEL GET-MASTER-ADDR-BY-NAME store 2>/dev/null | head -n 1)"
case "$said" in
  store-*.store-peers.proviso.svc.cluster.local) echo "$said" ;;
  *) echo store-0.store-peers.proviso.svc.cluster.local ;;
esac
