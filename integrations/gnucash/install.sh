#!/bin/sh
# Adds Etätuki's three entries to GnuCash's Help menu for this user, or takes them out again.
#   install.sh            add, or bring up to date
#   install.sh --remove   take out; the rest of the user's config-user.scm stays as it is
# The folder is GNC_CONFIG_HOME if set, else GnuCash's own under XDG_CONFIG_HOME.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${GNC_CONFIG_HOME:-${XDG_CONFIG_HOME:-$HOME/.config}/gnucash}
config=$folder/config-user.scm
begin=';; Etätuki: begin (kept by install.sh)'
end=';; Etätuki: end'

# Everything of the user's own file but our lines, in place and in one step.
rewrite() {
  new=$(mktemp "$folder/.config-user.XXXXXX")
  trap 'rm -f "$new"' EXIT
  if [ -f "$config" ]; then
    awk -v b="$begin" -v e="$end" '$0 == b { skip = 1 } !skip { print } $0 == e { skip = 0 }' "$config" >"$new"
  fi
  if [ "$1" = add ]; then
    printf '%s\n(load "%s/etatuki.scm")\n%s\n' "$begin" "$folder" "$end" >>"$new"
  fi
  chmod 600 "$new"
  mv "$new" "$config"
  trap - EXIT
}

case ${1:-} in
  '')
    mkdir -p "$folder"
    cp "$here/etatuki.scm" "$folder/etatuki.scm"
    rewrite add
    echo "Added to $config. Start GnuCash again: the entries are in its Help menu." ;;
  --remove)
    rm -f "$folder/etatuki.scm"
    [ -f "$config" ] && rewrite remove
    echo "Taken out of $config." ;;
  *)
    echo "usage: install.sh [--remove]" >&2
    exit 2 ;;
esac
