#!/usr/bin/env bash
# packaging/package.sh FOLDER [cmake options]: builds for /usr in FOLDER, and makes FOLDER/*.deb and FOLDER/*.rpm.
# The same sources give the same bytes, whatever the folder, the time and the machine. SOURCE_DATE_EPOCH: the time that
# the files carry, else that of the last commit. EXPORTD_GENERATORS: "DEB RPM", or one of them.
set -euo pipefail
source=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift
generators=${EXPORTD_GENERATORS:-DEB RPM}

if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
  SOURCE_DATE_EPOCH=$(git -C "$source" log -1 --format=%ct 2>/dev/null) || {
    echo "package: this is no Git repository, so the time of its last commit isn't known; set SOURCE_DATE_EPOCH" >&2
    exit 1
  }
fi
export SOURCE_DATE_EPOCH TZ=UTC LC_ALL=C.UTF-8
umask 022

# Absolute names of this machine's folders stay out of what is built.
map="-ffile-prefix-map=$source=/usr/src/exportd -ffile-prefix-map=$folder=/usr/src/exportd/build"
cmake -S "$source" -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release "-DCMAKE_C_FLAGS_RELEASE=-O2 -DNDEBUG" "-DCMAKE_C_FLAGS=$map" \
  -DCMAKE_INSTALL_PREFIX=/usr -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_INSTALL_SYSCONFDIR=/etc -DEXPORTD_TESTS=OFF -DEXPORTD_WERROR=OFF "$@" >/dev/null
ninja -C "$folder" --quiet

rm -rf "$folder/_CPack_Packages"
rm -f "$folder"/*.deb "$folder"/*.rpm
for generator in $generators; do
  (cd "$folder" && cpack -G "$generator" >cpack.log 2>&1) || {
    cat "$folder/cpack.log" >&2
    exit 1
  }
done

# CPack's archives have the order and the times of its folders; dpkg-deb sorts, and takes SOURCE_DATE_EPOCH.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for package in "$folder"/*.deb; do
  [ -e "$package" ] || continue
  dpkg-deb --raw-extract "$package" "$work/tree"
  find "$work/tree" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
  LC_ALL=C sort -k2 -o "$work/tree/DEBIAN/md5sums" "$work/tree/DEBIAN/md5sums"
  dpkg-deb --root-owner-group -Zxz --build "$work/tree" "$package" >/dev/null
  rm -rf "$work/tree"
done
