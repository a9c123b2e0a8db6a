#!/bin/sh
# Makes the secrets of a deployment: secrets.sh DIR. What is there already stays as it is.
# The folder is closed to others; its files are not, because programs in containers run as
# users that this machine does not know.
set -eu
dir=$1
mkdir -p "$dir"
chmod 700 "$dir"
umask 022
for name in admin_password bridge_password rules_password reader_password sessions_password consumer_password chat_password notify_password redrive_password hook_secret admin_token; do
  # A letter first: NATS takes a variable of its environment that begins with a digit for a number.
  [ -s "$dir/$name" ] || printf 's%s' "$(openssl rand -hex 24)" >"$dir/$name"
done
# The same passwords as variables of users.conf, for the shell that starts NATS.
for role in admin bridge rules reader sessions consumer chat notify redrive; do
  printf '%s_PASSWORD=%s\n' "$(echo $role | tr a-z A-Z)" "$(cat "$dir/${role}_password")"
done >"$dir/nats_passwords"
