if [ "$1" -eq 1 ]; then
  install -d -o exportd -g exportd -m 0750 /var/lib/exportd || :
fi
if command -v systemctl >/dev/null; then
  # Whether it starts with the machine is up to the presets of the system.
  [ "$1" -ne 1 ] || systemctl --no-reload preset exportd.service >/dev/null 2>&1 || :
  systemctl daemon-reload >/dev/null 2>&1 || :
fi
exit 0
