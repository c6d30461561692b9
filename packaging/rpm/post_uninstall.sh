# State and user stay, as is the custom: rm -rf /var/lib/exportd takes the jobs away.
if command -v systemctl >/dev/null; then
  systemctl daemon-reload >/dev/null 2>&1 || :
  [ "$1" -lt 1 ] || systemctl try-restart exportd.service >/dev/null 2>&1 || :
fi
exit 0
