#!/bin/sh
# Adds Etätuki's three entries to GnuCash's Help menu for this user, or removes them.
#   install.sh            add or update
#   install.sh --remove   remove; the rest of the user's config-user.scm stays as it is
# The folder is GNC_CONFIG_HOME if set, else GnuCash's own under XDG_CONFIG_HOME.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${GNC_CONFIG_HOME:-${XDG_CONFIG_HOME:-$HOME/.config}/gnucash}
config=$folder/config-user.scm
begin=';; Etätuki: begin (kept by install.sh)'
end=';; Etätuki: end'

# A symbolic link stays a link: the file behind it is changed.
[ ! -L "$config" ] || config=$(readlink -f "$config")

# Refuses half a block: what follows it may be the user's own.
check() {
  [ -f "$config" ] || return 0
  awk -v b="$begin" -v e="$end" '
    $0 == b { open++; if (open != 1) bad = 1 }
    $0 == e { open--; if (open != 0) bad = 1 }
    END { exit (bad || open) ? 1 : 0 }' "$config" || {
    echo "$config: the lines '$begin' and '$end' don't come in pairs. Please mend or remove them, then try again." >&2
    exit 1
  }
}

# Replaces the file atomically, with its mode: everything but our block, and the block if asked to add.
rewrite() {
  new=$(mktemp "$(dirname "$config")/.config-user.XXXXXX")
  trap 'rm -f "$new"' EXIT
  if [ -f "$config" ]; then
    cp -p "$config" "$new"
    awk -v b="$begin" -v e="$end" '$0 == b { skip = 1 } !skip { print } $0 == e { skip = 0 }' "$config" >"$new"
  fi
  if [ "$1" = add ]; then
    printf '%s\n(load "%s/etatuki.scm")\n%s\n' "$begin" "$folder" "$end" >>"$new"
  fi
  mv "$new" "$config"
  trap - EXIT
}

# Names the menu in which GnuCash shows the entries of extensions: Help, and from version 5 on Reports.
menu() {
  version=$({ gnucash-cli --version || gnucash --version; } 2>/dev/null | sed -n 's/^GnuCash \([0-9][0-9]*\).*/\1/p' | head -n 1)
  case $version in
    '') echo "Help (Ohje; from GnuCash 5 on: Reports, Raportit)" ;;
    [1-4]) echo "Help (Ohje)" ;;
    *) echo "Reports (Raportit)" ;;
  esac
}

case ${1:-} in
  '')
    mkdir -p "$folder"
    check
    cp "$here/etatuki.scm" "$folder/etatuki.scm"
    rewrite add
    echo "Added to $config. Start GnuCash again: the entries are in its $(menu) menu."
    launcher=${ETATUKI:-etatuki}
    command -v "$launcher" >/dev/null 2>&1 ||
      echo "The launcher '$launcher' isn't there yet. Put \`etatuki\` on PATH, or set ETATUKI to its place, before GnuCash starts." >&2 ;;
  --remove)
    check
    rm -f "$folder/etatuki.scm"
    [ ! -f "$config" ] || rewrite remove
    echo "Taken out of $config." ;;
  *)
    echo "usage: install.sh [--remove]" >&2
    exit 2 ;;
esac
