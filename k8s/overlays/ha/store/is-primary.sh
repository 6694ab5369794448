# Whether this store takes writes. A replica is not ready, so the Service never leads to it.
[ "$(REDISCLI_AUTH=none valkey-cli --no-auth-warning --user probe role | head -n 1)" = master ]
