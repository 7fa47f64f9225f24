# Completion of keyferry for bash: source this file, or install it as
# /usr/share/bash-completion/completions/keyferry. Names of options for --set come from the program.
_keyferry() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command= word
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in
      run|check|verify|status|drain|pause|resume|stop|cutover|config|inspect|forget) [ -n "$command" ] || command=$word ;;
      show|names|import) [ "$command" = config ] && command="config $word" ;;
    esac
  done

  case $previous in
    --config|--token-file|--report) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    --stop-when) mapfile -t COMPREPLY < <(compgen -W 'never snapshot lag-zero' -- "$current"); return ;;
    --verify) mapfile -t COMPREPLY < <(compgen -W sample -- "$current"); return ;;
    --level) mapfile -t COMPREPLY < <(compgen -W 'exists ttl digest full' -- "$current"); return ;;
    --log-format) mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$current"); return ;;
    --source|--target) mapfile -t COMPREPLY < <(compgen -W 'redis:// rediss:// redis-sentinel:// unix:/// file:///' -- "$current"); return ;;
    --set)
      mapfile -t COMPREPLY < <(compgen -S = -W "$("${COMP_WORDS[0]}" config names 2>/dev/null)" -- "$current")
      compopt -o nospace 2>/dev/null
      return ;;
    --http|--pause-timeout|--sample) return ;;
  esac

  local link='--config --source --target --http --stop-when --log-format --set --standby --restart --help'
  local client='--http --token-file --help'
  local words
  case $command in
    '') words='run check verify status drain pause resume stop cutover config inspect forget --help --version' ;;
    run|forget|'config show') words=$link ;;
    check) words="$link --json" ;;
    cutover) words="$link --token-file --pause-timeout --verify --undo-fence" ;;
    verify) words="$link --level --sample --report --repair --repair-extra --running --token-file --json" ;;
    status) words="$client --watch --json" ;;
    drain|pause|resume|stop) words=$client ;;
    inspect) words='--json --help' ;;
    config) words='show names import --help' ;;
    'config import') mapfile -t COMPREPLY < <(compgen -W --help -- "$current"; compgen -f -X '!*.toml' -- "$current"); return ;;
    *) words=--help ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _keyferry keyferry
