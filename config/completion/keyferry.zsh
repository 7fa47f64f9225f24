#compdef keyferry
# Completion of keyferry for zsh: install it as _keyferry in a folder of $fpath. Names of options for
# --set come from the program.

_keyferry_set() {
  local -a names
  names=(${(f)"$(${words[1]} config names 2>/dev/null)"})
  compadd -S = -- $names
}

_keyferry() {
  local -a commands link client
  commands=(
    'run:move data from the source to the target and follow changes'
    'check:connect to both ends and name every problem'
    'verify:compare both ends key by key'
    'status:one screen about a running keyferry'
    'drain:end when lag is zero'
    'pause:apply nothing more for now'
    'resume:go on applying after pause'
    'stop:apply what has been received, then end'
    'cutover:hand over to the target'
    'config:look at the configuration'
    'inspect:show what is in a snapshot'
    'forget:remove our records from a target'
  )
  link=(
    '--config[YAML file with options]:file:_files'
    '--source[where the data comes from]:uri:(redis\:// rediss\:// redis-sentinel\:// unix\:/// file\:///)'
    '--target[where the data goes to]:uri:(redis\:// rediss\:// redis-sentinel\:// unix\:/// file\:///)'
    '--http[where status and metrics are served]:address:'
    '--stop-when[when the run is done]:when:(never snapshot lag-zero)'
    '--log-format[form of the log lines]:form:(text json)'
    '*--set[any option]:option:_keyferry_set'
    '--standby[wait while another instance runs this link]'
    '--restart[copy everything again]'
    '--help[show help]'
  )
  client=(
    '--http[where it listens]:address:'
    '--token-file[file with its token]:file:_files'
    '--help[show help]'
  )

  if (( CURRENT == 2 )); then
    _describe command commands
    compadd -- --help --version
    return
  fi
  case $words[2] in
    run|forget) _arguments $link ;;
    cutover) _arguments $link '--token-file[file with its token]:file:_files' \
      '--pause-timeout[how long writes may be held back]:time:' '--verify[compare some keys meanwhile]:how:(sample)' \
      '--undo-fence[let the source take writes again]' ;;
    check) _arguments $link '--json[the findings as JSON]' ;;
    verify) _arguments $link '--level[how closely]:level:(exists ttl digest full)' '--sample[only a part of the keys]:percent:' \
      '--report[differences as JSON]:file:_files' '--repair[copy missing and different keys again]' \
      '--repair-extra[remove keys that the source does not have]' '--running[let the running keyferry do it]' \
      '--token-file[file with its token]:file:_files' '--json[everything as JSON lines]' ;;
    status) _arguments $client '--watch[show it again each second]' '--json[the JSON of GET /status]' ;;
    drain|pause|resume|stop) _arguments $client ;;
    inspect) _arguments '1:snapshot:_files' '--json[one JSON object per key]' '--help[show help]' ;;
    config)
      if (( CURRENT == 3 )); then
        compadd -- show names import --help
      elif [[ $words[3] == show ]]; then
        shift words; (( CURRENT-- ))
        _arguments $link
      elif [[ $words[3] == import ]]; then
        shift words; (( CURRENT-- ))
        _arguments '1:configuration of RedisShake:_files -g "*.toml"' '--help[show help]'
      fi ;;
  esac
}

if [[ $funcstack[1] == _keyferry ]]; then
  _keyferry "$@"
else
  compdef _keyferry keyferry
fi
