# shellcheck shell=bash
# The first terminal's shell: a card about this machine, then a prompt. As long as nobody has used the shell, the card is drawn
# again when another person is put on the desktop.
# shellcheck disable=SC1090
. ~/.bashrc
PS1='\[\e[38;5;180m\]\h\[\e[0m\] \[\e[38;5;110m\]\w\[\e[0m\] \$ '
person_file=/run/sarang/person

row() { printf '\e[38;5;67m%-9s\e[0m%s\n' "$1" "$2"; }

greeting() {
  case $LANG in
    ko*) echo "$1 님, 어서 오세요." ;;
    *) echo "Welcome, $1." ;;
  esac
}

# "1280 x 800"
screen_size() { xrandr 2>/dev/null | sed -n 's/.* current \([0-9]* x [0-9]*\),.*/\1/p'; }

read_language() {
  # shellcheck disable=SC1091
  [ ! -r /etc/default/locale ] || . /etc/default/locale
  export LANG
}

card_text() {
  local key value total free driver PRETTY_NAME
  # shellcheck disable=SC1091
  . /etc/os-release
  while read -r key value _; do
    case $key in MemTotal:) total=$((value / 1024)) ;; MemAvailable:) free=$((value / 1024)) ;; esac
  done </proc/meminfo
  read -r driver 2>/dev/null </sys/class/graphics/fb0/name || driver=memory
  printf '\e[1;38;5;180m사랑방\e[0m  \e[1mSarang\e[0m\n\n%s\n\n' "$(greeting "$1")"
  row desktop "$(hostname)"
  row system "$PRETTY_NAME, Linux $(uname -r)"
  row screen "$(screen_size), ${driver%drmfb}"
  row memory "$total MiB, $free MiB free"
}

# in one piece: its programs take a second where the processor is emulated
card() {
  local text
  text=$(card_text "$1")
  printf '\e[H\e[2J%s\n\n' "$text"
}

# The shell has drawn its prompt and waits; what takes its place under the new card is the same prompt, without the marks that
# \[ and \] become.
follow_person() {
  local person prompt
  tail -q -n 0 -F --pid=$$ $person_file 2>/dev/null | while read -r person; do
    read_language
    card "$person"
    prompt=${PS1@P}
    printf '%s' "${prompt//[$'\001\002']/}"
  done
}

before_prompt() {
  read_language
  [ "${used:=no}" = yes ] && [ -n "${follower:-}" ] && { kill -- "-$follower"; follower=''; } 2>/dev/null
  used=yes
}

# The answer to "where is the cursor" comes when the terminal has taken what came before it.
wait_until_drawn() { printf '\e[6n'; IFS='' read -rsd R -t 60 _; }

echo terminal >/run/sarang/marks
read_language
card "$(tail -n 1 $person_file)"
wait_until_drawn
echo desktop >/run/sarang/marks
set -m
follow_person &
follower=$!
disown
PROMPT_COMMAND=before_prompt
