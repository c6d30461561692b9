# bash completion for exportd: commands, their options, and the routes and plugins that are installed.

_exportd_routes()
{
  local names
  names=$(exportd plugins --json 2>/dev/null | grep -o '"route": *"[^"]*"' | cut -d'"' -f4)
  COMPREPLY=($(compgen -W "$names" -- "$1"))
}

_exportd_plugins()
{
  local names
  names=$(exportd plugins --json 2>/dev/null | grep -o '^      "name": *"[^"]*"' | cut -d'"' -f4)
  COMPREPLY=($(compgen -W "$names" -- "$1") $(compgen -f -X '!*.so' -- "$1"))
}

_exportd()
{
  local current=$2 previous=$3 command=${COMP_WORDS[1]}
  local -A options=(
    [run]='--repro --data --option -o -c --quiet'
    [serve]='-c'
    [check]='-c --json'
    [plugins]='-c --json'
    [inspect]='-c --json'
    [jobs]='-c --url --json --state --dead --route --limit'
    [cancel]='-c --url --json'
    [retry]='-c --url --json'
    [migrate]='-c'
    [deliveries]='-c --url --json --state --dead retry'
    [reload]='-c --url --json'
    [new]='--route -d'
    [test]='-c --route --option --granted --json --input --gdb --valgrind'
  )
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${!options[*]} --help --version" -- "$current"))
    return
  fi
  case $previous in
  -c | -d | -o) COMPREPLY=($(compgen -d -- "$current")); return ;;
  --repro | --input) COMPREPLY=($(compgen -f -- "$current")); return ;;
  --route) _exportd_routes "$current"; return ;;
  --state)
    if [ "$command" = deliveries ]; then
      COMPREPLY=($(compgen -W 'waiting delivered dead' -- "$current"))
    else
      COMPREPLY=($(compgen -W 'pending running completed failed cancelled' -- "$current"))
    fi
    return
    ;;
  esac
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "${options[$command]-} -h" -- "$current"))
    return
  fi
  case $command in
  run) _exportd_routes "$current" ;;
  inspect) _exportd_plugins "$current" ;;
  test) COMPREPLY=($(compgen -f -X '!*.so' -- "$current")) ;;
  deliveries) COMPREPLY=($(compgen -W retry -- "$current")) ;;
  esac
}

complete -o filenames -F _exportd exportd
