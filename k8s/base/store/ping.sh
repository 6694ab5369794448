# Whether the store answers; while it loads its data it does not. `probe` may do nothing else.
[ "$(REDISCLI_AUTH=none valkey-cli --no-auth-warning --user probe ping)" = PONG ]
