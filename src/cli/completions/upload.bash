
# The script above completes flags and their fixed values. The functions below complete verbs, files,
# upload ids and backends.

# Whether a word is in a list.
_upload_is_in() {
    [[ " $2 " == *" $1 "* ]]
}

# Nothing completes the word: not the names of files either.
_upload_nothing() {
    COMPREPLY=()
    compopt +o default +o bashdefault 2>/dev/null
}

_upload_backends() {
    # Without the part before the last colon, which the shell takes as a word of its own.
    local value="$1" kept="" backends="embedded https:// companion+https:// s3://"
    [[ $COMP_WORDBREAKS == *:* ]] && kept="${value%"${value##*:}"}"
    _upload_nothing
    COMPREPLY=($(compgen -W "$backends" -- "$value"))
    COMPREPLY=("${COMPREPLY[@]#"$kept"}")
    [[ ${COMPREPLY[*]} == *//* ]] && compopt -o nospace 2>/dev/null
}

_upload_complete() {
    local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}"
    local line="${COMP_LINE:0:COMP_POINT}" i word path="" about_verbs="" words=""
    # The last word and the one before it, as spaces separate them.
    local last="${line##*[[:space:]]}" before
    before="${line%"$last"}"
    before="${before%"${before##*[![:space:]]}"}"
    before="${before##*[[:space:]]}"
    COMPREPLY=()

    if [[ $before == --backend || $last == --backend=* ]]; then
        _upload_backends "${last#--backend=}"
        return
    fi
    if _upload_is_in "$before" "$_upload_free_flags"; then
        _upload_nothing
        return
    fi
    # Without an answer, the shell completes the names of files.
    if _upload_is_in "$before" "$_upload_path_flags"; then
        return
    fi
    if [[ $cur == -* ]] || _upload_is_in "$prev" "$_upload_choice_flags"; then
        _upload "$@"
        return
    fi

    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        if [[ $word == -* ]]; then
            _upload_is_in "$word" "$_upload_free_flags $_upload_path_flags $_upload_choice_flags" && ((i++))
        elif [[ -z $path && -z $about_verbs && ($word == help || $word == man) ]]; then
            about_verbs="yes"
        elif _upload_is_in "$word" "$(_upload_words "$path")"; then
            path="$path $word"
        else
            break
        fi
    done
    words="$(_upload_words "$path")"
    if [[ -z $about_verbs ]]; then
        case "$path" in
            " status" | " cat" | " url" | " rm") words="$("$1" list --ids --all 2>/dev/null | cut -f 1)" ;;
            " resume" | " abort") words="$("$1" list --ids 2>/dev/null | cut -f 1)" ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _upload_complete -o nosort -o bashdefault -o default upload
else
    complete -F _upload_complete -o bashdefault -o default upload
fi
