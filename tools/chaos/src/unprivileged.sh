# Runs a program under a root folder of our own: `sh unprivileged.sh FOLDER PROGRAM ARGUMENTS…`, in user and mount
# namespaces. The owner of the machine's `/` isn't known in a user namespace, and the launcher loads no plugin when it
# can't tell who could have changed a folder above it. So `/` becomes a tmpfs with the machine's folders in it, and the
# folders above FOLDER, the programs', are made anew.
set -eu
bin=$1
shift
root=$(mktemp -d)
mount -t tmpfs -o mode=755 tmpfs "$root"
bind() {
  mkdir -p "$root$1"
  mount --rbind "$1" "$root$1"
}
for entry in /*; do
  if [ -L "$entry" ]; then
    cp -P "$entry" "$root$entry"
  elif [ -d "$entry" ]; then
    case $bin/ in
      "$entry"/*) ;;
      *) bind "$entry" ;;
    esac
  fi
done
bind "$bin"
mkdir -p "$root/.old"
cd "$root"
pivot_root . .old
cd /
umount -l /.old
exec "$@"
