getent group exportd >/dev/null || groupadd --system exportd
getent passwd exportd >/dev/null ||
  useradd --system --gid exportd --home-dir /var/lib/exportd --no-create-home --shell /sbin/nologin exportd
exit 0
