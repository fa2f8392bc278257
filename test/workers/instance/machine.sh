# A machine of its own for systemd: a root that is laid over this one and vanishes with it, processes and cgroups that are
# nobody else's. Runs as root.
#
#   enter FOLDER NAME   joins a cgroup of that name, in namespaces for mounts alone, and boots there
#   boot FOLDER         lays FOLDER/root over this machine's root, with FOLDER/log and FOLDER/node in it, and becomes systemd
#   leave FOLDER NAME   removes that cgroup, when all of it has ended
set -eu
what=$1
folder=$2
mount --make-rprivate /

# The hierarchies that systemd keeps its services in: the second version, and of the first, where there is one, that of its name.
mount_cgroups() {
  if grep -q name=systemd /proc/self/cgroup; then
    mount -t tmpfs tmpfs "$1"
    mkdir "$1/unified" "$1/systemd"
    mount -t cgroup -o none,name=systemd cgroup "$1/systemd"
    mount -t cgroup2 cgroup2 "$1/unified"
  else
    mount -t cgroup2 cgroup2 "$1"
  fi
}

case $what in
enter)
  mkdir -p "$folder/cgroup"
  mount_cgroups "$folder/cgroup"
  for hierarchy in "$folder/cgroup" "$folder/cgroup/unified" "$folder/cgroup/systemd"; do
    if [ -f "$hierarchy/cgroup.procs" ]; then
      mkdir "$hierarchy/$3"
      echo $$ > "$hierarchy/$3/cgroup.procs"
    fi
  done
  exec unshare --pid --fork --kill-child --mount --mount-proc --uts --ipc --cgroup sh "$0" boot "$folder"
  ;;
leave)
  mount_cgroups "$folder/cgroup"
  find "$folder/cgroup" -depth -type d -path "*/$3*" -exec rmdir {} ';'
  exit
  ;;
esac

mkdir -p "$folder/over"
mount -t tmpfs tmpfs "$folder/over"
mkdir "$folder/over/upper" "$folder/over/work" "$folder/over/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/over/upper,workdir=$folder/over/work" "$folder/over/root"
root=$folder/over/root
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount_cgroups "$root/sys/fs/cgroup"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/dev"
for device in null zero full random urandom tty; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
# systemd speaks to a console, and nowhere else.
touch "$root/dev/console"
mount --bind "$(tty)" "$root/dev/console"
cp -r "$folder/root/." "$root/"
# Of this machine's own units those that it needs to power off, and none of its services.
for unit in poweroff.target systemd-poweroff.service shutdown.target umount.target final.target; do
  cp "/lib/systemd/system/$unit" "$root/etc/systemd/machine/"
done
# Itself and not by a link: wherever it lies, in a home or a temporary folder too, the unit does not see.
touch "$root/usr/bin/node-24"
mount --bind "$(readlink -f "$folder/node")" "$root/usr/bin/node-24"
mkdir -p "$root/var/log/sluice"
mount --bind "$folder/log" "$root/var/log/sluice"
chroot "$root" useradd --system --user-group --no-create-home --shell /sbin/nologin sluice
exec env --ignore-environment container=other PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  SYSTEMD_UNIT_PATH=/etc/systemd/machine \
  chroot "$root" /lib/systemd/systemd --system --log-target=console --show-status=false
