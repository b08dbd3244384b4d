# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_upload_global_optspecs
    string join \n journal= json q/quiet v/verbose color= progress= config= profile= h/help V/version
end

function __fish_upload_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_upload_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_upload_using_subcommand
    set -l cmd (__fish_upload_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c upload -n "__fish_upload_needs_command" -l journal -d 'The journal, which remembers uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_needs_command" -l color -d 'When to use colours; NO_COLOR, CLICOLOR and TERM=dumb are obeyed [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_needs_command" -l progress -d 'How to show progress: bars on a terminal, a line now and then elsewhere [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars; on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress; results, errors and a summary only'"
complete -c upload -n "__fish_upload_needs_command" -l config -d 'The configuration file, TOML [default: config.toml, for serve serve.toml, in the configuration directory]' -r -F
complete -c upload -n "__fish_upload_needs_command" -l profile -d 'Use the table [profile.NAME] of the configuration file over its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_needs_command" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_needs_command" -s q -l quiet -d 'Show errors only'
complete -c upload -n "__fish_upload_needs_command" -s v -l verbose -d 'Show what is done in more detail, on standard error; repeat for more'
complete -c upload -n "__fish_upload_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_needs_command" -s V -l version -d 'Print version'
complete -c upload -n "__fish_upload_needs_command" -f -a "put" -d 'Upload files; an unfinished upload of the same file to the same backend is continued'
complete -c upload -n "__fish_upload_needs_command" -f -a "resume" -d 'Continue unfinished uploads: those named, or all of them'
complete -c upload -n "__fish_upload_needs_command" -f -a "list" -d 'List the unfinished uploads in the journal'
complete -c upload -n "__fish_upload_needs_command" -f -a "status" -d 'Show one upload, part by part'
complete -c upload -n "__fish_upload_needs_command" -f -a "abort" -d 'Give uploads up, here and in the store'
complete -c upload -n "__fish_upload_needs_command" -f -a "prune" -d 'Forget finished uploads; list what the backend has begun and the journal does not know'
complete -c upload -n "__fish_upload_needs_command" -f -a "cat" -d 'Write the bytes of an uploaded object to standard output'
complete -c upload -n "__fish_upload_needs_command" -f -a "url" -d 'Print a URL by which an uploaded object can be read'
complete -c upload -n "__fish_upload_needs_command" -f -a "config" -d 'Print the effective settings and where each comes from'
complete -c upload -n "__fish_upload_needs_command" -f -a "serve" -d 'Run the gateway, which signs uploads for clients without storage credentials'
complete -c upload -n "__fish_upload_needs_command" -f -a "completions" -d 'Print a completion script for a shell'
complete -c upload -n "__fish_upload_needs_command" -f -a "man" -d 'Print the man page'
complete -c upload -n "__fish_upload_using_subcommand put" -l backend -d 'Where to upload to [env: UPLOAD_BACKEND]' -r -f
complete -c upload -n "__fish_upload_using_subcommand put" -l name -d 'The object\'s name, for a single source; 1 to 200 characters [default: the file\'s name]' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l part-size -d 'Bytes in a part, 5MiB to 5GiB [default: 8MiB, more where the file needs it]' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l content-type -d 'The content type [default: by the name\'s ending, else application/octet-stream]' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l meta -d 'Metadata kept with the object; repeatable [default: none]' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l if-changed -d 'What to do when a source changes while it is uploaded; restart at most 3 times' -r -f -a "fail\t'Exit with 65'
restart\t'Begin again with the file as it is now'"
complete -c upload -n "__fish_upload_using_subcommand put" -l jobs -d 'Parts in flight over all files, 1 to 256, or auto [default: auto]' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l limit-rate -d 'Send no faster than this, over all parts: 10MiB/s, 500KB/s, or none [env: UPLOAD_LIMIT_RATE] [default: none]' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l receipt -d 'Write the receipts of completed uploads to this file, as JSON lines [default: not written]' -r -F
complete -c upload -n "__fish_upload_using_subcommand put" -l give-up-after -d 'Give up after this long without any confirmed byte' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l wait -d 'What to wait for once the backend has verified the object' -r -f -a "none\t'Nothing more'
ready\t'The backend\'s checks (hooks): what they reject is exit code 77'"
complete -c upload -n "__fish_upload_using_subcommand put" -l wait-timeout -d 'How long --wait waits, or never to give up; then the exit code is 75' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l token-file -d 'Read the API token from this file [env: UPLOAD_TOKEN (the token itself), UPLOAD_TOKEN_FILE]' -r -F
complete -c upload -n "__fish_upload_using_subcommand put" -l header -d 'A header for each call to the backend, or @FILE with one a line, which others cannot see; repeatable [default: none]' -r -f
complete -c upload -n "__fish_upload_using_subcommand put" -l store-host -d 'A store the signed URLs may name although it is private or has moved; repeatable [default: none]' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l ca-cert -d 'Trust the certificates in this PEM file as well as the system\'s [default: none]' -r -F
complete -c upload -n "__fish_upload_using_subcommand put" -l proxy -d 'Connect through this proxy (http, https, socks5, socks5h) [default: HTTPS_PROXY and the like]' -r -f
complete -c upload -n "__fish_upload_using_subcommand put" -l stall-after -d 'Try again on another connection when nothing has moved on one for this long [default: 1m to 6m, by what is sent]' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l s3-endpoint -d 'The S3 endpoint of s3:// stores [default: Amazon\'s for the region]' -r -f
complete -c upload -n "__fish_upload_using_subcommand put" -l s3-region -d 'The region of s3:// stores [default: AWS_REGION and the AWS configuration, else us-east-1]' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l journal -d 'The journal, which remembers uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand put" -l color -d 'When to use colours; NO_COLOR, CLICOLOR and TERM=dumb are obeyed [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand put" -l progress -d 'How to show progress: bars on a terminal, a line now and then elsewhere [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars; on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress; results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand put" -l config -d 'The configuration file, TOML [default: config.toml, for serve serve.toml, in the configuration directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand put" -l profile -d 'Use the table [profile.NAME] of the configuration file over its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l force -d 'Upload a new object even if this very file is already there'
complete -c upload -n "__fish_upload_using_subcommand put" -l dry-run -d 'Show what would be sent (files, parts, bytes, what is already there) and send nothing'
complete -c upload -n "__fish_upload_using_subcommand put" -l allow-insecure-http -d 'Permit http:// backends and stores that are not on this machine [default: refused]'
complete -c upload -n "__fish_upload_using_subcommand put" -l s3-path-style -d 'Put the bucket\'s name of s3:// stores into the path, not the host [default: into the host]'
complete -c upload -n "__fish_upload_using_subcommand put" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand put" -s q -l quiet -d 'Show errors only'
complete -c upload -n "__fish_upload_using_subcommand put" -s v -l verbose -d 'Show what is done in more detail, on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand put" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand resume" -l backend -d 'Only uploads to this backend [default: to any]' -r -f
complete -c upload -n "__fish_upload_using_subcommand resume" -l jobs -d 'Parts in flight over all files, 1 to 256, or auto [default: auto]' -r
complete -c upload -n "__fish_upload_using_subcommand resume" -l limit-rate -d 'Send no faster than this, over all parts: 10MiB/s, 500KB/s, or none [env: UPLOAD_LIMIT_RATE] [default: none]' -r
complete -c upload -n "__fish_upload_using_subcommand resume" -l receipt -d 'Write the receipts of completed uploads to this file, as JSON lines [default: not written]' -r -F
complete -c upload -n "__fish_upload_using_subcommand resume" -l give-up-after -d 'Give up after this long without any confirmed byte' -r
complete -c upload -n "__fish_upload_using_subcommand resume" -l wait -d 'What to wait for once the backend has verified the object' -r -f -a "none\t'Nothing more'
ready\t'The backend\'s checks (hooks): what they reject is exit code 77'"
complete -c upload -n "__fish_upload_using_subcommand resume" -l wait-timeout -d 'How long --wait waits, or never to give up; then the exit code is 75' -r
complete -c upload -n "__fish_upload_using_subcommand resume" -l token-file -d 'Read the API token from this file [env: UPLOAD_TOKEN (the token itself), UPLOAD_TOKEN_FILE]' -r -F
complete -c upload -n "__fish_upload_using_subcommand resume" -l header -d 'A header for each call to the backend, or @FILE with one a line, which others cannot see; repeatable [default: none]' -r -f
complete -c upload -n "__fish_upload_using_subcommand resume" -l store-host -d 'A store the signed URLs may name although it is private or has moved; repeatable [default: none]' -r
complete -c upload -n "__fish_upload_using_subcommand resume" -l ca-cert -d 'Trust the certificates in this PEM file as well as the system\'s [default: none]' -r -F
complete -c upload -n "__fish_upload_using_subcommand resume" -l proxy -d 'Connect through this proxy (http, https, socks5, socks5h) [default: HTTPS_PROXY and the like]' -r -f
complete -c upload -n "__fish_upload_using_subcommand resume" -l stall-after -d 'Try again on another connection when nothing has moved on one for this long [default: 1m to 6m, by what is sent]' -r
complete -c upload -n "__fish_upload_using_subcommand resume" -l s3-endpoint -d 'The S3 endpoint of s3:// stores [default: Amazon\'s for the region]' -r -f
complete -c upload -n "__fish_upload_using_subcommand resume" -l s3-region -d 'The region of s3:// stores [default: AWS_REGION and the AWS configuration, else us-east-1]' -r
complete -c upload -n "__fish_upload_using_subcommand resume" -l journal -d 'The journal, which remembers uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand resume" -l color -d 'When to use colours; NO_COLOR, CLICOLOR and TERM=dumb are obeyed [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand resume" -l progress -d 'How to show progress: bars on a terminal, a line now and then elsewhere [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars; on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress; results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand resume" -l config -d 'The configuration file, TOML [default: config.toml, for serve serve.toml, in the configuration directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand resume" -l profile -d 'Use the table [profile.NAME] of the configuration file over its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand resume" -l allow-insecure-http -d 'Permit http:// backends and stores that are not on this machine [default: refused]'
complete -c upload -n "__fish_upload_using_subcommand resume" -l s3-path-style -d 'Put the bucket\'s name of s3:// stores into the path, not the host [default: into the host]'
complete -c upload -n "__fish_upload_using_subcommand resume" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand resume" -s q -l quiet -d 'Show errors only'
complete -c upload -n "__fish_upload_using_subcommand resume" -s v -l verbose -d 'Show what is done in more detail, on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand resume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand list" -l backend -d 'The backend whose orphans are meant [default: as for put]' -r -f
complete -c upload -n "__fish_upload_using_subcommand list" -l token-file -d 'Read the API token from this file [env: UPLOAD_TOKEN (the token itself), UPLOAD_TOKEN_FILE]' -r -F
complete -c upload -n "__fish_upload_using_subcommand list" -l header -d 'A header for each call to the backend, or @FILE with one a line, which others cannot see; repeatable [default: none]' -r -f
complete -c upload -n "__fish_upload_using_subcommand list" -l store-host -d 'A store the signed URLs may name although it is private or has moved; repeatable [default: none]' -r
complete -c upload -n "__fish_upload_using_subcommand list" -l ca-cert -d 'Trust the certificates in this PEM file as well as the system\'s [default: none]' -r -F
complete -c upload -n "__fish_upload_using_subcommand list" -l proxy -d 'Connect through this proxy (http, https, socks5, socks5h) [default: HTTPS_PROXY and the like]' -r -f
complete -c upload -n "__fish_upload_using_subcommand list" -l stall-after -d 'Try again on another connection when nothing has moved on one for this long [default: 1m to 6m, by what is sent]' -r
complete -c upload -n "__fish_upload_using_subcommand list" -l s3-endpoint -d 'The S3 endpoint of s3:// stores [default: Amazon\'s for the region]' -r -f
complete -c upload -n "__fish_upload_using_subcommand list" -l s3-region -d 'The region of s3:// stores [default: AWS_REGION and the AWS configuration, else us-east-1]' -r
complete -c upload -n "__fish_upload_using_subcommand list" -l journal -d 'The journal, which remembers uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand list" -l color -d 'When to use colours; NO_COLOR, CLICOLOR and TERM=dumb are obeyed [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand list" -l progress -d 'How to show progress: bars on a terminal, a line now and then elsewhere [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars; on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress; results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand list" -l config -d 'The configuration file, TOML [default: config.toml, for serve serve.toml, in the configuration directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand list" -l profile -d 'Use the table [profile.NAME] of the configuration file over its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand list" -l all -d 'Finished uploads too'
complete -c upload -n "__fish_upload_using_subcommand list" -l orphans -d 'Orphans too: uploads under way at the backend that the journal does not know'
complete -c upload -n "__fish_upload_using_subcommand list" -l allow-insecure-http -d 'Permit http:// backends and stores that are not on this machine [default: refused]'
complete -c upload -n "__fish_upload_using_subcommand list" -l s3-path-style -d 'Put the bucket\'s name of s3:// stores into the path, not the host [default: into the host]'
complete -c upload -n "__fish_upload_using_subcommand list" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand list" -s q -l quiet -d 'Show errors only'
complete -c upload -n "__fish_upload_using_subcommand list" -s v -l verbose -d 'Show what is done in more detail, on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand status" -l token-file -d 'Read the API token from this file [env: UPLOAD_TOKEN (the token itself), UPLOAD_TOKEN_FILE]' -r -F
complete -c upload -n "__fish_upload_using_subcommand status" -l header -d 'A header for each call to the backend, or @FILE with one a line, which others cannot see; repeatable [default: none]' -r -f
complete -c upload -n "__fish_upload_using_subcommand status" -l store-host -d 'A store the signed URLs may name although it is private or has moved; repeatable [default: none]' -r
complete -c upload -n "__fish_upload_using_subcommand status" -l ca-cert -d 'Trust the certificates in this PEM file as well as the system\'s [default: none]' -r -F
complete -c upload -n "__fish_upload_using_subcommand status" -l proxy -d 'Connect through this proxy (http, https, socks5, socks5h) [default: HTTPS_PROXY and the like]' -r -f
complete -c upload -n "__fish_upload_using_subcommand status" -l stall-after -d 'Try again on another connection when nothing has moved on one for this long [default: 1m to 6m, by what is sent]' -r
complete -c upload -n "__fish_upload_using_subcommand status" -l s3-endpoint -d 'The S3 endpoint of s3:// stores [default: Amazon\'s for the region]' -r -f
complete -c upload -n "__fish_upload_using_subcommand status" -l s3-region -d 'The region of s3:// stores [default: AWS_REGION and the AWS configuration, else us-east-1]' -r
complete -c upload -n "__fish_upload_using_subcommand status" -l journal -d 'The journal, which remembers uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand status" -l color -d 'When to use colours; NO_COLOR, CLICOLOR and TERM=dumb are obeyed [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand status" -l progress -d 'How to show progress: bars on a terminal, a line now and then elsewhere [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars; on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress; results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand status" -l config -d 'The configuration file, TOML [default: config.toml, for serve serve.toml, in the configuration directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand status" -l profile -d 'Use the table [profile.NAME] of the configuration file over its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand status" -l remote -d 'Ask the backend what it holds'
complete -c upload -n "__fish_upload_using_subcommand status" -l allow-insecure-http -d 'Permit http:// backends and stores that are not on this machine [default: refused]'
complete -c upload -n "__fish_upload_using_subcommand status" -l s3-path-style -d 'Put the bucket\'s name of s3:// stores into the path, not the host [default: into the host]'
complete -c upload -n "__fish_upload_using_subcommand status" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand status" -s q -l quiet -d 'Show errors only'
complete -c upload -n "__fish_upload_using_subcommand status" -s v -l verbose -d 'Show what is done in more detail, on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand abort" -l backend -d 'The backend of uploads that the journal does not know [default: as for put]' -r -f
complete -c upload -n "__fish_upload_using_subcommand abort" -l token-file -d 'Read the API token from this file [env: UPLOAD_TOKEN (the token itself), UPLOAD_TOKEN_FILE]' -r -F
complete -c upload -n "__fish_upload_using_subcommand abort" -l header -d 'A header for each call to the backend, or @FILE with one a line, which others cannot see; repeatable [default: none]' -r -f
complete -c upload -n "__fish_upload_using_subcommand abort" -l store-host -d 'A store the signed URLs may name although it is private or has moved; repeatable [default: none]' -r
complete -c upload -n "__fish_upload_using_subcommand abort" -l ca-cert -d 'Trust the certificates in this PEM file as well as the system\'s [default: none]' -r -F
complete -c upload -n "__fish_upload_using_subcommand abort" -l proxy -d 'Connect through this proxy (http, https, socks5, socks5h) [default: HTTPS_PROXY and the like]' -r -f
complete -c upload -n "__fish_upload_using_subcommand abort" -l stall-after -d 'Try again on another connection when nothing has moved on one for this long [default: 1m to 6m, by what is sent]' -r
complete -c upload -n "__fish_upload_using_subcommand abort" -l s3-endpoint -d 'The S3 endpoint of s3:// stores [default: Amazon\'s for the region]' -r -f
complete -c upload -n "__fish_upload_using_subcommand abort" -l s3-region -d 'The region of s3:// stores [default: AWS_REGION and the AWS configuration, else us-east-1]' -r
complete -c upload -n "__fish_upload_using_subcommand abort" -l journal -d 'The journal, which remembers uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand abort" -l color -d 'When to use colours; NO_COLOR, CLICOLOR and TERM=dumb are obeyed [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand abort" -l progress -d 'How to show progress: bars on a terminal, a line now and then elsewhere [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars; on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress; results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand abort" -l config -d 'The configuration file, TOML [default: config.toml, for serve serve.toml, in the configuration directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand abort" -l profile -d 'Use the table [profile.NAME] of the configuration file over its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand abort" -l allow-insecure-http -d 'Permit http:// backends and stores that are not on this machine [default: refused]'
complete -c upload -n "__fish_upload_using_subcommand abort" -l s3-path-style -d 'Put the bucket\'s name of s3:// stores into the path, not the host [default: into the host]'
complete -c upload -n "__fish_upload_using_subcommand abort" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand abort" -s q -l quiet -d 'Show errors only'
complete -c upload -n "__fish_upload_using_subcommand abort" -s v -l verbose -d 'Show what is done in more detail, on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand abort" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand prune" -l older-than -d 'Only what ended longer ago than this, such as 30d [default: all that has ended]' -r
complete -c upload -n "__fish_upload_using_subcommand prune" -l backend -d 'The backend whose orphans are listed [default: as for put; without one, none are]' -r -f
complete -c upload -n "__fish_upload_using_subcommand prune" -l token-file -d 'Read the API token from this file [env: UPLOAD_TOKEN (the token itself), UPLOAD_TOKEN_FILE]' -r -F
complete -c upload -n "__fish_upload_using_subcommand prune" -l header -d 'A header for each call to the backend, or @FILE with one a line, which others cannot see; repeatable [default: none]' -r -f
complete -c upload -n "__fish_upload_using_subcommand prune" -l store-host -d 'A store the signed URLs may name although it is private or has moved; repeatable [default: none]' -r
complete -c upload -n "__fish_upload_using_subcommand prune" -l ca-cert -d 'Trust the certificates in this PEM file as well as the system\'s [default: none]' -r -F
complete -c upload -n "__fish_upload_using_subcommand prune" -l proxy -d 'Connect through this proxy (http, https, socks5, socks5h) [default: HTTPS_PROXY and the like]' -r -f
complete -c upload -n "__fish_upload_using_subcommand prune" -l stall-after -d 'Try again on another connection when nothing has moved on one for this long [default: 1m to 6m, by what is sent]' -r
complete -c upload -n "__fish_upload_using_subcommand prune" -l s3-endpoint -d 'The S3 endpoint of s3:// stores [default: Amazon\'s for the region]' -r -f
complete -c upload -n "__fish_upload_using_subcommand prune" -l s3-region -d 'The region of s3:// stores [default: AWS_REGION and the AWS configuration, else us-east-1]' -r
complete -c upload -n "__fish_upload_using_subcommand prune" -l journal -d 'The journal, which remembers uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand prune" -l color -d 'When to use colours; NO_COLOR, CLICOLOR and TERM=dumb are obeyed [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand prune" -l progress -d 'How to show progress: bars on a terminal, a line now and then elsewhere [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars; on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress; results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand prune" -l config -d 'The configuration file, TOML [default: config.toml, for serve serve.toml, in the configuration directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand prune" -l profile -d 'Use the table [profile.NAME] of the configuration file over its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand prune" -l allow-insecure-http -d 'Permit http:// backends and stores that are not on this machine [default: refused]'
complete -c upload -n "__fish_upload_using_subcommand prune" -l s3-path-style -d 'Put the bucket\'s name of s3:// stores into the path, not the host [default: into the host]'
complete -c upload -n "__fish_upload_using_subcommand prune" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand prune" -s q -l quiet -d 'Show errors only'
complete -c upload -n "__fish_upload_using_subcommand prune" -s v -l verbose -d 'Show what is done in more detail, on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand prune" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand cat" -l token-file -d 'Read the API token from this file [env: UPLOAD_TOKEN (the token itself), UPLOAD_TOKEN_FILE]' -r -F
complete -c upload -n "__fish_upload_using_subcommand cat" -l header -d 'A header for each call to the backend, or @FILE with one a line, which others cannot see; repeatable [default: none]' -r -f
complete -c upload -n "__fish_upload_using_subcommand cat" -l store-host -d 'A store the signed URLs may name although it is private or has moved; repeatable [default: none]' -r
complete -c upload -n "__fish_upload_using_subcommand cat" -l ca-cert -d 'Trust the certificates in this PEM file as well as the system\'s [default: none]' -r -F
complete -c upload -n "__fish_upload_using_subcommand cat" -l proxy -d 'Connect through this proxy (http, https, socks5, socks5h) [default: HTTPS_PROXY and the like]' -r -f
complete -c upload -n "__fish_upload_using_subcommand cat" -l stall-after -d 'Try again on another connection when nothing has moved on one for this long [default: 1m to 6m, by what is sent]' -r
complete -c upload -n "__fish_upload_using_subcommand cat" -l s3-endpoint -d 'The S3 endpoint of s3:// stores [default: Amazon\'s for the region]' -r -f
complete -c upload -n "__fish_upload_using_subcommand cat" -l s3-region -d 'The region of s3:// stores [default: AWS_REGION and the AWS configuration, else us-east-1]' -r
complete -c upload -n "__fish_upload_using_subcommand cat" -l journal -d 'The journal, which remembers uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand cat" -l color -d 'When to use colours; NO_COLOR, CLICOLOR and TERM=dumb are obeyed [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand cat" -l progress -d 'How to show progress: bars on a terminal, a line now and then elsewhere [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars; on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress; results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand cat" -l config -d 'The configuration file, TOML [default: config.toml, for serve serve.toml, in the configuration directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand cat" -l profile -d 'Use the table [profile.NAME] of the configuration file over its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand cat" -l allow-insecure-http -d 'Permit http:// backends and stores that are not on this machine [default: refused]'
complete -c upload -n "__fish_upload_using_subcommand cat" -l s3-path-style -d 'Put the bucket\'s name of s3:// stores into the path, not the host [default: into the host]'
complete -c upload -n "__fish_upload_using_subcommand cat" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand cat" -s q -l quiet -d 'Show errors only'
complete -c upload -n "__fish_upload_using_subcommand cat" -s v -l verbose -d 'Show what is done in more detail, on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand cat" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand url" -l expires -d 'How long the URL is to live, such as 15m or 7d [default: as the backend sees fit]' -r
complete -c upload -n "__fish_upload_using_subcommand url" -l token-file -d 'Read the API token from this file [env: UPLOAD_TOKEN (the token itself), UPLOAD_TOKEN_FILE]' -r -F
complete -c upload -n "__fish_upload_using_subcommand url" -l header -d 'A header for each call to the backend, or @FILE with one a line, which others cannot see; repeatable [default: none]' -r -f
complete -c upload -n "__fish_upload_using_subcommand url" -l store-host -d 'A store the signed URLs may name although it is private or has moved; repeatable [default: none]' -r
complete -c upload -n "__fish_upload_using_subcommand url" -l ca-cert -d 'Trust the certificates in this PEM file as well as the system\'s [default: none]' -r -F
complete -c upload -n "__fish_upload_using_subcommand url" -l proxy -d 'Connect through this proxy (http, https, socks5, socks5h) [default: HTTPS_PROXY and the like]' -r -f
complete -c upload -n "__fish_upload_using_subcommand url" -l stall-after -d 'Try again on another connection when nothing has moved on one for this long [default: 1m to 6m, by what is sent]' -r
complete -c upload -n "__fish_upload_using_subcommand url" -l s3-endpoint -d 'The S3 endpoint of s3:// stores [default: Amazon\'s for the region]' -r -f
complete -c upload -n "__fish_upload_using_subcommand url" -l s3-region -d 'The region of s3:// stores [default: AWS_REGION and the AWS configuration, else us-east-1]' -r
complete -c upload -n "__fish_upload_using_subcommand url" -l journal -d 'The journal, which remembers uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand url" -l color -d 'When to use colours; NO_COLOR, CLICOLOR and TERM=dumb are obeyed [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand url" -l progress -d 'How to show progress: bars on a terminal, a line now and then elsewhere [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars; on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress; results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand url" -l config -d 'The configuration file, TOML [default: config.toml, for serve serve.toml, in the configuration directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand url" -l profile -d 'Use the table [profile.NAME] of the configuration file over its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand url" -l allow-insecure-http -d 'Permit http:// backends and stores that are not on this machine [default: refused]'
complete -c upload -n "__fish_upload_using_subcommand url" -l s3-path-style -d 'Put the bucket\'s name of s3:// stores into the path, not the host [default: into the host]'
complete -c upload -n "__fish_upload_using_subcommand url" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand url" -s q -l quiet -d 'Show errors only'
complete -c upload -n "__fish_upload_using_subcommand url" -s v -l verbose -d 'Show what is done in more detail, on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand url" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand config" -l backend -d 'As for put' -r -f
complete -c upload -n "__fish_upload_using_subcommand config" -l part-size -d 'As for put' -r
complete -c upload -n "__fish_upload_using_subcommand config" -l jobs -d 'As for put' -r
complete -c upload -n "__fish_upload_using_subcommand config" -l limit-rate -d 'As for put' -r
complete -c upload -n "__fish_upload_using_subcommand config" -l give-up-after -d 'As for put' -r
complete -c upload -n "__fish_upload_using_subcommand config" -l token-file -d 'Read the API token from this file [env: UPLOAD_TOKEN (the token itself), UPLOAD_TOKEN_FILE]' -r -F
complete -c upload -n "__fish_upload_using_subcommand config" -l header -d 'A header for each call to the backend, or @FILE with one a line, which others cannot see; repeatable [default: none]' -r -f
complete -c upload -n "__fish_upload_using_subcommand config" -l store-host -d 'A store the signed URLs may name although it is private or has moved; repeatable [default: none]' -r
complete -c upload -n "__fish_upload_using_subcommand config" -l ca-cert -d 'Trust the certificates in this PEM file as well as the system\'s [default: none]' -r -F
complete -c upload -n "__fish_upload_using_subcommand config" -l proxy -d 'Connect through this proxy (http, https, socks5, socks5h) [default: HTTPS_PROXY and the like]' -r -f
complete -c upload -n "__fish_upload_using_subcommand config" -l stall-after -d 'Try again on another connection when nothing has moved on one for this long [default: 1m to 6m, by what is sent]' -r
complete -c upload -n "__fish_upload_using_subcommand config" -l s3-endpoint -d 'The S3 endpoint of s3:// stores [default: Amazon\'s for the region]' -r -f
complete -c upload -n "__fish_upload_using_subcommand config" -l s3-region -d 'The region of s3:// stores [default: AWS_REGION and the AWS configuration, else us-east-1]' -r
complete -c upload -n "__fish_upload_using_subcommand config" -l journal -d 'The journal, which remembers uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand config" -l color -d 'When to use colours; NO_COLOR, CLICOLOR and TERM=dumb are obeyed [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand config" -l progress -d 'How to show progress: bars on a terminal, a line now and then elsewhere [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars; on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress; results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand config" -l config -d 'The configuration file, TOML [default: config.toml, for serve serve.toml, in the configuration directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand config" -l profile -d 'Use the table [profile.NAME] of the configuration file over its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand config" -l allow-insecure-http -d 'Permit http:// backends and stores that are not on this machine [default: refused]'
complete -c upload -n "__fish_upload_using_subcommand config" -l s3-path-style -d 'Put the bucket\'s name of s3:// stores into the path, not the host [default: into the host]'
complete -c upload -n "__fish_upload_using_subcommand config" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand config" -s q -l quiet -d 'Show errors only'
complete -c upload -n "__fish_upload_using_subcommand config" -s v -l verbose -d 'Show what is done in more detail, on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand config" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l listen -d 'Where to listen; port 0 takes a free one, which is told on standard error once ready' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l public-url -d 'What signed URLs and answers name; TLS is the proxy\'s in front [default: the address listened on]' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l metrics-listen -d 'Where metrics (Prometheus), health and readiness may be read by whoever reaches it; port 0 takes a free one [default: nowhere]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l store -d 'The store: embedded, embedded:DIR, or s3://BUCKET/PREFIX with the usual AWS credentials' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l s3-endpoint -d 'The S3 endpoint of s3:// stores [default: Amazon\'s for the region]' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l s3-region -d 'The region of s3:// stores [default: AWS_REGION and the AWS configuration, else us-east-1]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l store-credentials -d 'Write the embedded store\'s endpoint and keys to this file (mode 0600), for other S3 clients [default: not written]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l ledger -d 'The ledger: sqlite, sqlite:FILE or postgres://USER@HOST/DATABASE [env: UPLOAD_LEDGER] [default: sqlite in the state directory]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l auth -d 'Who may use the API; `tokens,jwt` takes both [default: none on loopback, else this has to be said]' -r -f -a "none\t'Everybody who reaches it: on loopback only'
tokens\t'Whoever holds a token made by `upload serve token add`'
jwt\t'Whoever holds a token that --jwt-issuer signed, such as a job of GitHub Actions'"
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l jwt-issuer -d 'Whose signed tokens are taken with --auth jwt, as their `iss` has it, such as `https://token.actions.githubusercontent.com`' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l jwt-audience -d 'What the tokens\' `aud` must name: choose something that only this gateway is called' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l jwt-jwks -d 'Where the issuer\'s keys are [default: where its /.well-known/openid-configuration says]' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l jwt-algorithm -d 'How the tokens are signed; no other way is taken, whatever they say' -r -f -a "RS256\t'RSA of 2048 bits or more, with SHA-256'
ES256\t'ECDSA on P-256, with SHA-256'
EdDSA\t'Ed25519'"
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l jwt-claim -d 'A claim that tokens must have, and a glob for its value; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l jwt-owner-claim -d 'The claim that says whose uploads they are; with GitHub Actions repository_id, since its sub differs by branch' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l rate -d 'URLs that are signed for each owner, such as 100/s, or 100/s,burst=5000 [default: any number]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l quota -d 'What each owner may have: open=1000 unfinished uploads, outstanding=1TiB in them, total=10TiB with all that is ready' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l allow-type -d 'Content types that are taken, as globs; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l max-size -d 'Largest upload, such as 50GiB [default: the store\'s limit]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l url-ttl -d 'How long a signed URL lives at least; a large part\'s lives longer' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l upload-ttl -d 'How long an unfinished upload lives without a call about it' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l lease -d 'How long a client may be silent before another may take its upload over; clients speak every 20s' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l sweep-every -d 'How often to end what nobody holds: uploads that expired, completes that were left; `never` leaves it to other gateways' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l events -d 'Where the store\'s own events come from: sqs:QUEUE_URL, or webhook (POST /v1/events/s3) [default: none]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l events-secret-file -d 'The secret that the store shows with what it pushes: one line of visible ASCII [default: none]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l companion -d 'Answer Uppy Companion\'s routes for uploads beneath this path, / or /companion, so that Uppy uploads through this gateway' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l allow-origin -d 'An origin, such as `https://app.example.com`, whose pages may use the gateway and its embedded store; repeatable [default: none]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l cdn -d 'What objects are read through, such as `https://cdn.example.com`: locations and read URLs are this and the object\'s key, and do not expire [default: read URLs are presigned]' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l hook -d 'What to ask about each upload before it is ready, in this order: a program or a webhook; repeatable [default: none]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l hook-arg -d 'A further argument for the program of the hook of that name; repeatable [default: none]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l hook-secret-file -d 'Sign webhooks with the secret in this file, at least 16 characters [default: none, and no webhooks]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l hook-timeout -d 'How long a hook may take for one upload' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l on-reject -d 'What becomes of an object that a hook rejects: delete, keep, or quarantine:PREFIX' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l sse -d 'Server-side encryption of new objects: AES256, aws:kms or aws:kms:KEY-ID [default: the bucket\'s]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l required-header -d 'A further header the bucket demands when an object is created; repeatable [default: none]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l store-probe -d 'Whether to try at start-up if the store refuses a wrong body and a wrong length' -r -f -a "require\t'Do not start if the store takes them'
warn\t'Say so and start'
off\t'Do not try'"
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l store-checksum -d 'What the store is held to enforce on each part; named in each receipt as its proof' -r -f -a "auto\t'As probed'
sha256\t'The header x-amz-checksum-sha256, signed'
payload\t'The SHA-256 as the signature\'s payload hash'
md5\t'The header Content-MD5, signed'
none\t'Nothing'"
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l drain -d 'How long to serve on after a signal to stop, while /readyz says 503, so that balancers look elsewhere [default: not at all]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l log-format -d 'How lines of the log on standard error are written; -v adds a line for each request' -r -f -a "text\t'Lines to be read by people'
json\t'An object of JSON a line'"
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l journal -d 'The journal, which remembers uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l color -d 'When to use colours; NO_COLOR, CLICOLOR and TERM=dumb are obeyed [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l progress -d 'How to show progress: bars on a terminal, a line now and then elsewhere [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars; on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress; results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l config -d 'The configuration file, TOML [default: config.toml, for serve serve.toml, in the configuration directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l profile -d 'Use the table [profile.NAME] of the configuration file over its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l s3-path-style -d 'Put the bucket\'s name of s3:// stores into the path, not the host [default: into the host]'
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l check -d 'Check flags and configuration file, open nothing, and exit'
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l probe -d 'Try all that the store can be held to, print what it did and what that means, and exit; sends it about 11 MiB'
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -s q -l quiet -d 'Show errors only'
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -s v -l verbose -d 'Show what is done in more detail, on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -f -a "token" -d 'Make, list and revoke API tokens'
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token sweep" -f -a "sweep" -d 'Sweep once, beside running gateways or without any, print what was done, and exit'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from token" -l journal -d 'The journal, which remembers uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from token" -l color -d 'When to use colours; NO_COLOR, CLICOLOR and TERM=dumb are obeyed [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from token" -l progress -d 'How to show progress: bars on a terminal, a line now and then elsewhere [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars; on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress; results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from token" -l config -d 'The configuration file, TOML [default: config.toml, for serve serve.toml, in the configuration directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from token" -l profile -d 'Use the table [profile.NAME] of the configuration file over its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from token" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from token" -s q -l quiet -d 'Show errors only'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from token" -s v -l verbose -d 'Show what is done in more detail, on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from token" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from token" -f -a "add" -d 'Make a token and print it, this once'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from token" -f -a "list" -d 'List tokens: id, when made, until when they are good, name'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from token" -f -a "revoke" -d 'Revoke a token by its id'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l listen -d 'Where to listen; port 0 takes a free one, which is told on standard error once ready' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l public-url -d 'What signed URLs and answers name; TLS is the proxy\'s in front [default: the address listened on]' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l metrics-listen -d 'Where metrics (Prometheus), health and readiness may be read by whoever reaches it; port 0 takes a free one [default: nowhere]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l store -d 'The store: embedded, embedded:DIR, or s3://BUCKET/PREFIX with the usual AWS credentials' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l s3-endpoint -d 'The S3 endpoint of s3:// stores [default: Amazon\'s for the region]' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l s3-region -d 'The region of s3:// stores [default: AWS_REGION and the AWS configuration, else us-east-1]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l store-credentials -d 'Write the embedded store\'s endpoint and keys to this file (mode 0600), for other S3 clients [default: not written]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l ledger -d 'The ledger: sqlite, sqlite:FILE or postgres://USER@HOST/DATABASE [env: UPLOAD_LEDGER] [default: sqlite in the state directory]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l auth -d 'Who may use the API; `tokens,jwt` takes both [default: none on loopback, else this has to be said]' -r -f -a "none\t'Everybody who reaches it: on loopback only'
tokens\t'Whoever holds a token made by `upload serve token add`'
jwt\t'Whoever holds a token that --jwt-issuer signed, such as a job of GitHub Actions'"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l jwt-issuer -d 'Whose signed tokens are taken with --auth jwt, as their `iss` has it, such as `https://token.actions.githubusercontent.com`' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l jwt-audience -d 'What the tokens\' `aud` must name: choose something that only this gateway is called' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l jwt-jwks -d 'Where the issuer\'s keys are [default: where its /.well-known/openid-configuration says]' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l jwt-algorithm -d 'How the tokens are signed; no other way is taken, whatever they say' -r -f -a "RS256\t'RSA of 2048 bits or more, with SHA-256'
ES256\t'ECDSA on P-256, with SHA-256'
EdDSA\t'Ed25519'"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l jwt-claim -d 'A claim that tokens must have, and a glob for its value; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l jwt-owner-claim -d 'The claim that says whose uploads they are; with GitHub Actions repository_id, since its sub differs by branch' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l rate -d 'URLs that are signed for each owner, such as 100/s, or 100/s,burst=5000 [default: any number]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l quota -d 'What each owner may have: open=1000 unfinished uploads, outstanding=1TiB in them, total=10TiB with all that is ready' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l allow-type -d 'Content types that are taken, as globs; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l max-size -d 'Largest upload, such as 50GiB [default: the store\'s limit]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l url-ttl -d 'How long a signed URL lives at least; a large part\'s lives longer' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l upload-ttl -d 'How long an unfinished upload lives without a call about it' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l lease -d 'How long a client may be silent before another may take its upload over; clients speak every 20s' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l sweep-every -d 'How often to end what nobody holds: uploads that expired, completes that were left; `never` leaves it to other gateways' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l events -d 'Where the store\'s own events come from: sqs:QUEUE_URL, or webhook (POST /v1/events/s3) [default: none]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l events-secret-file -d 'The secret that the store shows with what it pushes: one line of visible ASCII [default: none]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l companion -d 'Answer Uppy Companion\'s routes for uploads beneath this path, / or /companion, so that Uppy uploads through this gateway' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l allow-origin -d 'An origin, such as `https://app.example.com`, whose pages may use the gateway and its embedded store; repeatable [default: none]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l cdn -d 'What objects are read through, such as `https://cdn.example.com`: locations and read URLs are this and the object\'s key, and do not expire [default: read URLs are presigned]' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l hook -d 'What to ask about each upload before it is ready, in this order: a program or a webhook; repeatable [default: none]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l hook-arg -d 'A further argument for the program of the hook of that name; repeatable [default: none]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l hook-secret-file -d 'Sign webhooks with the secret in this file, at least 16 characters [default: none, and no webhooks]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l hook-timeout -d 'How long a hook may take for one upload' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l on-reject -d 'What becomes of an object that a hook rejects: delete, keep, or quarantine:PREFIX' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l sse -d 'Server-side encryption of new objects: AES256, aws:kms or aws:kms:KEY-ID [default: the bucket\'s]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l required-header -d 'A further header the bucket demands when an object is created; repeatable [default: none]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l store-probe -d 'Whether to try at start-up if the store refuses a wrong body and a wrong length' -r -f -a "require\t'Do not start if the store takes them'
warn\t'Say so and start'
off\t'Do not try'"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l store-checksum -d 'What the store is held to enforce on each part; named in each receipt as its proof' -r -f -a "auto\t'As probed'
sha256\t'The header x-amz-checksum-sha256, signed'
payload\t'The SHA-256 as the signature\'s payload hash'
md5\t'The header Content-MD5, signed'
none\t'Nothing'"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l drain -d 'How long to serve on after a signal to stop, while /readyz says 503, so that balancers look elsewhere [default: not at all]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l log-format -d 'How lines of the log on standard error are written; -v adds a line for each request' -r -f -a "text\t'Lines to be read by people'
json\t'An object of JSON a line'"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l journal -d 'The journal, which remembers uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l color -d 'When to use colours; NO_COLOR, CLICOLOR and TERM=dumb are obeyed [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l progress -d 'How to show progress: bars on a terminal, a line now and then elsewhere [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars; on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress; results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l config -d 'The configuration file, TOML [default: config.toml, for serve serve.toml, in the configuration directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l profile -d 'Use the table [profile.NAME] of the configuration file over its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l dry-run -d 'Print what would be done, and change nothing'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l s3-path-style -d 'Put the bucket\'s name of s3:// stores into the path, not the host [default: into the host]'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l check -d 'Check flags and configuration file, open nothing, and exit'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l probe -d 'Try all that the store can be held to, print what it did and what that means, and exit; sends it about 11 MiB'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -s q -l quiet -d 'Show errors only'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -s v -l verbose -d 'Show what is done in more detail, on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand completions" -l journal -d 'The journal, which remembers uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand completions" -l color -d 'When to use colours; NO_COLOR, CLICOLOR and TERM=dumb are obeyed [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand completions" -l progress -d 'How to show progress: bars on a terminal, a line now and then elsewhere [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars; on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress; results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand completions" -l config -d 'The configuration file, TOML [default: config.toml, for serve serve.toml, in the configuration directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand completions" -l profile -d 'Use the table [profile.NAME] of the configuration file over its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand completions" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand completions" -s q -l quiet -d 'Show errors only'
complete -c upload -n "__fish_upload_using_subcommand completions" -s v -l verbose -d 'Show what is done in more detail, on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand man" -l journal -d 'The journal, which remembers uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand man" -l color -d 'When to use colours; NO_COLOR, CLICOLOR and TERM=dumb are obeyed [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand man" -l progress -d 'How to show progress: bars on a terminal, a line now and then elsewhere [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars; on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress; results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand man" -l config -d 'The configuration file, TOML [default: config.toml, for serve serve.toml, in the configuration directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand man" -l profile -d 'Use the table [profile.NAME] of the configuration file over its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand man" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand man" -s q -l quiet -d 'Show errors only'
complete -c upload -n "__fish_upload_using_subcommand man" -s v -l verbose -d 'Show what is done in more detail, on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
