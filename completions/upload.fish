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

complete -c upload -n "__fish_upload_needs_command" -l journal -d 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_needs_command" -l color -d 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_needs_command" -l progress -d 'How to show progress [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars, on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress: results, errors and a summary only'"
complete -c upload -n "__fish_upload_needs_command" -l config -d 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]' -r -F
complete -c upload -n "__fish_upload_needs_command" -l profile -d 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_needs_command" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_needs_command" -s q -l quiet -d 'Show errors and warnings only; standard output is as without it'
complete -c upload -n "__fish_upload_needs_command" -s v -l verbose -d 'Show more detail on standard error; repeat for more'
complete -c upload -n "__fish_upload_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_needs_command" -s V -l version -d 'Print version'
complete -c upload -n "__fish_upload_needs_command" -f -a "put" -d 'Upload files, or continue unfinished uploads of the same files to the same backend'
complete -c upload -n "__fish_upload_needs_command" -f -a "resume" -d 'Continue unfinished uploads: the named ones, or all'
complete -c upload -n "__fish_upload_needs_command" -f -a "list" -d 'List the unfinished uploads in the journal'
complete -c upload -n "__fish_upload_needs_command" -f -a "status" -d 'Show one upload: state, size, stored parts, age, and location'
complete -c upload -n "__fish_upload_needs_command" -f -a "abort" -d 'Abort uploads, and remove their parts from the store'
complete -c upload -n "__fish_upload_needs_command" -f -a "rm" -d 'Remove uploads with their objects, finished ones too'
complete -c upload -n "__fish_upload_needs_command" -f -a "prune" -d 'Remove finished uploads from the journal'
complete -c upload -n "__fish_upload_needs_command" -f -a "cat" -d 'Write an uploaded object to standard output, and verify it'
complete -c upload -n "__fish_upload_needs_command" -f -a "url" -d 'Print a URL for reading an uploaded object'
complete -c upload -n "__fish_upload_needs_command" -f -a "config" -d 'Print the effective settings and their origins'
complete -c upload -n "__fish_upload_needs_command" -f -a "serve" -d 'Run a gateway, which signs uploads for clients without storage credentials'
complete -c upload -n "__fish_upload_needs_command" -f -a "completions" -d 'Print a completion script for a shell'
complete -c upload -n "__fish_upload_needs_command" -f -a "man" -d 'Print a man page, or write all of them to a directory'
complete -c upload -n "__fish_upload_needs_command" -f -a "version" -d 'Print the version'
complete -c upload -n "__fish_upload_needs_command" -f -a "help" -d 'Print the help of a verb'
complete -c upload -n "__fish_upload_using_subcommand put" -l backend -d 'The backend to upload to [env: UPLOAD_BACKEND]' -r -f
complete -c upload -n "__fish_upload_using_subcommand put" -l name -d 'The file name that the backend records, for a single file [default: the name of the file]' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l key -d 'The key of the object, for a single file' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l prefix -d 'Put each object at this prefix, a slash, and the name of its file' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l key-style -d 'The key without --key and --prefix [default: name for s3://, otherwise uuid]' -r -f -a "name\t'The name of the file'
uuid\t'The backend makes a new key for each upload'"
complete -c upload -n "__fish_upload_using_subcommand put" -l if-exists -d 'What to do if there is an object at the key already [default: same]' -r -f -a "same\t'Compare it with the file: the same content is already uploaded; another one, or another value of a named attribute, is exit code 77'
fail\t'Exit with code 77'
overwrite\t'Replace it'
skip\t'Leave the file out, and exit with code 0'
update\t'Compare it with the file: replace it if its content, or a named attribute, differs, or if it cannot be compared'"
complete -c upload -n "__fish_upload_using_subcommand put" -l part-size -d 'The size of a part, 5MiB to 5GiB [default: 8MiB, more for very large files]' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l content-type -d 'The content type [default: from the extension of the name, else application/octet-stream]' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l meta -d 'Store metadata with the object; repeatable. Keys become lower case, as in S3' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l cache-control -d 'The Cache-Control of the object, such as \'max-age=3600, public\'' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l content-disposition -d 'The Content-Disposition of the object, such as \'attachment; filename="a.pdf"\'' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l content-encoding -d 'The Content-Encoding of the object, such as gzip. The content is sent as it is' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l content-language -d 'The Content-Language of the object, such as de-CH' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l expires -d 'The Expires of the object: a time such as 2030-01-31T12:00:00Z, or a date' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l acl -d 'The access list of the object, such as public-read or bucket-owner-full-control [default: that of the bucket]' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l storage-class -d 'The storage class of the object, such as STANDARD_IA [default: that of the bucket]' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l tag -d 'A tag of the object; repeatable, at most 10' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l sse -d 'The server-side encryption of the object: AES256, aws:kms or aws:kms:KEY-ID [default: that of the backend or the bucket]' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l if-changed -d 'What to do if a file changes during its upload' -r -f -a "fail\t'Exit with code 65'
restart\t'Begin again with the new content, at most 3 times'"
complete -c upload -n "__fish_upload_using_subcommand put" -l expected-size -d 'The size that a stream will perhaps have; only a hint' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l buffer -d 'The memory for parts of a stream that are not stored yet [default: 48MiB]' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l spool -d 'Keep parts for which there is no memory in a file in this directory' -r -f -a "(__fish_complete_directories)"
complete -c upload -n "__fish_upload_using_subcommand put" -l jobs -d 'Parts in flight of all files together, 1 to 256, or auto [default: auto]' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l limit-rate -d 'Limit the rate of all parts together: 10MiB/s, 500KB/s, or none [env: UPLOAD_LIMIT_RATE] [default: none]' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l receipt -d 'Write the receipts of completed uploads to this file, as JSON lines' -r -F
complete -c upload -n "__fish_upload_using_subcommand put" -l receipt-append -d 'As --receipt, but append to an existing file' -r -F
complete -c upload -n "__fish_upload_using_subcommand put" -l give-up-after -d 'Give up after this long without any confirmed byte [default: never at a terminal, otherwise 15m]' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l wait -d 'What to wait for after the backend has verified the object' -r -f -a "auto\t'As ready if the backend has hooks, else as none'
none\t'Do not wait: a hook may still reject the object'
ready\t'Wait for the checks (hooks) of the backend; exit code 77 if they reject the object'"
complete -c upload -n "__fish_upload_using_subcommand put" -l wait-timeout -d 'How long --wait waits before it ends with exit code 75; a duration, or never' -r
complete -c upload -n "__fish_upload_using_subcommand put" -s C -l directory -d 'Look for files in this directory; their keys have the paths as they are written' -r -f -a "(__fish_complete_directories)"
complete -c upload -n "__fish_upload_using_subcommand put" -l include -d 'Upload only files that match this pattern; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l exclude -d 'Leave out files and directories that match this pattern; repeatable. See --include' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l exclude-from -d 'Leave out what the patterns of this file match, one in each line; repeatable' -r -F
complete -c upload -n "__fish_upload_using_subcommand put" -l ignore-file -d 'Read rules in the language of .gitignore from the files of this name, in DIR and below; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l max-size -d 'Leave out files larger than this, such as 5GiB' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l min-size -d 'Leave out files smaller than this, such as 1' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l newer-than -d 'Leave out files that were modified earlier: 24h for a day ago, or 2026-11-29 (UTC)' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l older-than -d 'Leave out files that were modified later; as --newer-than' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l files-from -d 'Upload the files in this list, one in each line; - reads standard input' -r -F
complete -c upload -n "__fish_upload_using_subcommand put" -l base -d 'The directory at which the relative paths of listed files begin [default: the working directory]' -r -f -a "(__fish_complete_directories)"
complete -c upload -n "__fish_upload_using_subcommand put" -l map -d 'Upload the files of this map, a JSON object in each line; - reads standard input' -r -F
complete -c upload -n "__fish_upload_using_subcommand put" -l token-file -d 'Read the API token from this file [env: UPLOAD_TOKEN_FILE, or UPLOAD_TOKEN for the token itself]' -r -F
complete -c upload -n "__fish_upload_using_subcommand put" -l header -d 'Send this header with each call to the backend; repeatable' -r -f
complete -c upload -n "__fish_upload_using_subcommand put" -l store-host -d 'Permit signed URLs to name this store although its address is private or has changed; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l ca-cert -d 'Trust the certificates in this PEM file in addition to the system\'s [env: AWS_CA_BUNDLE]' -r -F
complete -c upload -n "__fish_upload_using_subcommand put" -l proxy -d 'Connect through this proxy (http, https, socks5, socks5h) [env: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY]' -r -f
complete -c upload -n "__fish_upload_using_subcommand put" -l stall-after -d 'Reconnect if no byte moved on a connection for this long [default: 30s to 6m, depending on what is transferred]' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l s3-endpoint -d 'The endpoint of the S3 service [env: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL] [default: that of the AWS profile, else Amazon\'s for the region]' -r -f
complete -c upload -n "__fish_upload_using_subcommand put" -l s3-region -d 'The region of the bucket [env: AWS_REGION, AWS_DEFAULT_REGION] [default: that of the AWS profile, else us-east-1 for endpoints other than Amazon\'s; the store may correct a default]' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l journal -d 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand put" -l color -d 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand put" -l progress -d 'How to show progress [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars, on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress: results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand put" -l config -d 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]' -r -F
complete -c upload -n "__fish_upload_using_subcommand put" -l profile -d 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand put" -l no-normalize -d 'Keep the bytes of names in keys, instead of normalising them (NFC)'
complete -c upload -n "__fish_upload_using_subcommand put" -l force -d 'Upload a new object even if the same file version is already uploaded'
complete -c upload -n "__fish_upload_using_subcommand put" -l trust-journal -d 'Report a file as uploaded if the journal has it as uploaded, without asking the store'
complete -c upload -n "__fish_upload_using_subcommand put" -l dry-run -d 'Show what would be sent (files, keys, parts, bytes, and what is already stored), and send nothing'
complete -c upload -n "__fish_upload_using_subcommand put" -l from-command -d 'Upload the standard output of a command; its words follow `--`'
complete -c upload -n "__fish_upload_using_subcommand put" -l allow-empty -d 'Complete a stream even if it has no bytes; otherwise its exit code is 65'
complete -c upload -n "__fish_upload_using_subcommand put" -l sha256 -d 'Compute the SHA-256 of each whole file, for its receipt'
complete -c upload -n "__fish_upload_using_subcommand put" -s r -l recursive -d 'Upload the files below directories too'
complete -c upload -n "__fish_upload_using_subcommand put" -l gitignore -d 'Leave out what .gitignore files exclude, and .git'
complete -c upload -n "__fish_upload_using_subcommand put" -l ignore-case -d 'Patterns and ignore files do not distinguish upper and lower case'
complete -c upload -n "__fish_upload_using_subcommand put" -l exclude-junk -d 'Leave out .DS_Store, ._*, Thumbs.db, desktop.ini, .Spotlight-V100, .Trashes and @eaDir'
complete -c upload -n "__fish_upload_using_subcommand put" -l follow-symlinks -d 'Follow symbolic links below directories; each directory is read once'
complete -c upload -n "__fish_upload_using_subcommand put" -s x -l one-file-system -d 'Stay on the file system of each DIR'
complete -c upload -n "__fish_upload_using_subcommand put" -l ignore-vanished -d 'Files that are deleted while the command runs are no failure'
complete -c upload -n "__fish_upload_using_subcommand put" -l fail-if-empty -d 'Fail with exit code 66 if no file is found'
complete -c upload -n "__fish_upload_using_subcommand put" -s 0 -l null -d 'The paths of --files-from are separated by NUL'
complete -c upload -n "__fish_upload_using_subcommand put" -l allow-insecure-http -d 'Permit http:// backends and stores that are not on this machine'
complete -c upload -n "__fish_upload_using_subcommand put" -l s3-path-style -d 'Put the name of the bucket into the path of URLs instead of the host [default: as the AWS profile says]'
complete -c upload -n "__fish_upload_using_subcommand put" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand put" -s q -l quiet -d 'Show errors and warnings only; standard output is as without it'
complete -c upload -n "__fish_upload_using_subcommand put" -s v -l verbose -d 'Show more detail on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand put" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand resume" -l backend -d 'Continue uploads to this backend only [default: uploads to any backend]' -r -f
complete -c upload -n "__fish_upload_using_subcommand resume" -l jobs -d 'Parts in flight of all files together, 1 to 256, or auto [default: auto]' -r
complete -c upload -n "__fish_upload_using_subcommand resume" -l limit-rate -d 'Limit the rate of all parts together: 10MiB/s, 500KB/s, or none [env: UPLOAD_LIMIT_RATE] [default: none]' -r
complete -c upload -n "__fish_upload_using_subcommand resume" -l receipt -d 'Write the receipts of completed uploads to this file, as JSON lines' -r -F
complete -c upload -n "__fish_upload_using_subcommand resume" -l receipt-append -d 'As --receipt, but append to an existing file' -r -F
complete -c upload -n "__fish_upload_using_subcommand resume" -l give-up-after -d 'Give up after this long without any confirmed byte [default: never at a terminal, otherwise 15m]' -r
complete -c upload -n "__fish_upload_using_subcommand resume" -l wait -d 'What to wait for after the backend has verified the object' -r -f -a "auto\t'As ready if the backend has hooks, else as none'
none\t'Do not wait: a hook may still reject the object'
ready\t'Wait for the checks (hooks) of the backend; exit code 77 if they reject the object'"
complete -c upload -n "__fish_upload_using_subcommand resume" -l wait-timeout -d 'How long --wait waits before it ends with exit code 75; a duration, or never' -r
complete -c upload -n "__fish_upload_using_subcommand resume" -l token-file -d 'Read the API token from this file [env: UPLOAD_TOKEN_FILE, or UPLOAD_TOKEN for the token itself]' -r -F
complete -c upload -n "__fish_upload_using_subcommand resume" -l header -d 'Send this header with each call to the backend; repeatable' -r -f
complete -c upload -n "__fish_upload_using_subcommand resume" -l store-host -d 'Permit signed URLs to name this store although its address is private or has changed; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand resume" -l ca-cert -d 'Trust the certificates in this PEM file in addition to the system\'s [env: AWS_CA_BUNDLE]' -r -F
complete -c upload -n "__fish_upload_using_subcommand resume" -l proxy -d 'Connect through this proxy (http, https, socks5, socks5h) [env: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY]' -r -f
complete -c upload -n "__fish_upload_using_subcommand resume" -l stall-after -d 'Reconnect if no byte moved on a connection for this long [default: 30s to 6m, depending on what is transferred]' -r
complete -c upload -n "__fish_upload_using_subcommand resume" -l s3-endpoint -d 'The endpoint of the S3 service [env: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL] [default: that of the AWS profile, else Amazon\'s for the region]' -r -f
complete -c upload -n "__fish_upload_using_subcommand resume" -l s3-region -d 'The region of the bucket [env: AWS_REGION, AWS_DEFAULT_REGION] [default: that of the AWS profile, else us-east-1 for endpoints other than Amazon\'s; the store may correct a default]' -r
complete -c upload -n "__fish_upload_using_subcommand resume" -l journal -d 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand resume" -l color -d 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand resume" -l progress -d 'How to show progress [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars, on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress: results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand resume" -l config -d 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]' -r -F
complete -c upload -n "__fish_upload_using_subcommand resume" -l profile -d 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand resume" -l sha256 -d 'Compute the SHA-256 of each whole file, for its receipt'
complete -c upload -n "__fish_upload_using_subcommand resume" -l allow-insecure-http -d 'Permit http:// backends and stores that are not on this machine'
complete -c upload -n "__fish_upload_using_subcommand resume" -l s3-path-style -d 'Put the name of the bucket into the path of URLs instead of the host [default: as the AWS profile says]'
complete -c upload -n "__fish_upload_using_subcommand resume" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand resume" -s q -l quiet -d 'Show errors and warnings only; standard output is as without it'
complete -c upload -n "__fish_upload_using_subcommand resume" -s v -l verbose -d 'Show more detail on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand resume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand list" -l backend -d 'The backend for --orphans [env: UPLOAD_BACKEND]' -r -f
complete -c upload -n "__fish_upload_using_subcommand list" -l give-up-after -d 'Give up if the backend has not responded after this long' -r
complete -c upload -n "__fish_upload_using_subcommand list" -l token-file -d 'Read the API token from this file [env: UPLOAD_TOKEN_FILE, or UPLOAD_TOKEN for the token itself]' -r -F
complete -c upload -n "__fish_upload_using_subcommand list" -l header -d 'Send this header with each call to the backend; repeatable' -r -f
complete -c upload -n "__fish_upload_using_subcommand list" -l store-host -d 'Permit signed URLs to name this store although its address is private or has changed; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand list" -l ca-cert -d 'Trust the certificates in this PEM file in addition to the system\'s [env: AWS_CA_BUNDLE]' -r -F
complete -c upload -n "__fish_upload_using_subcommand list" -l proxy -d 'Connect through this proxy (http, https, socks5, socks5h) [env: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY]' -r -f
complete -c upload -n "__fish_upload_using_subcommand list" -l stall-after -d 'Reconnect if no byte moved on a connection for this long [default: 30s to 6m, depending on what is transferred]' -r
complete -c upload -n "__fish_upload_using_subcommand list" -l s3-endpoint -d 'The endpoint of the S3 service [env: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL] [default: that of the AWS profile, else Amazon\'s for the region]' -r -f
complete -c upload -n "__fish_upload_using_subcommand list" -l s3-region -d 'The region of the bucket [env: AWS_REGION, AWS_DEFAULT_REGION] [default: that of the AWS profile, else us-east-1 for endpoints other than Amazon\'s; the store may correct a default]' -r
complete -c upload -n "__fish_upload_using_subcommand list" -l journal -d 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand list" -l color -d 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand list" -l progress -d 'How to show progress [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars, on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress: results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand list" -l config -d 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]' -r -F
complete -c upload -n "__fish_upload_using_subcommand list" -l profile -d 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand list" -l all -d 'List finished sets and uploads too'
complete -c upload -n "__fish_upload_using_subcommand list" -l orphans -d 'List orphans too: uploads that the backend has in progress and the journal does not know'
complete -c upload -n "__fish_upload_using_subcommand list" -l allow-insecure-http -d 'Permit http:// backends and stores that are not on this machine'
complete -c upload -n "__fish_upload_using_subcommand list" -l s3-path-style -d 'Put the name of the bucket into the path of URLs instead of the host [default: as the AWS profile says]'
complete -c upload -n "__fish_upload_using_subcommand list" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand list" -s q -l quiet -d 'Show errors and warnings only; standard output is as without it'
complete -c upload -n "__fish_upload_using_subcommand list" -s v -l verbose -d 'Show more detail on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand status" -l give-up-after -d 'Give up if the backend has not responded after this long' -r
complete -c upload -n "__fish_upload_using_subcommand status" -l token-file -d 'Read the API token from this file [env: UPLOAD_TOKEN_FILE, or UPLOAD_TOKEN for the token itself]' -r -F
complete -c upload -n "__fish_upload_using_subcommand status" -l header -d 'Send this header with each call to the backend; repeatable' -r -f
complete -c upload -n "__fish_upload_using_subcommand status" -l store-host -d 'Permit signed URLs to name this store although its address is private or has changed; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand status" -l ca-cert -d 'Trust the certificates in this PEM file in addition to the system\'s [env: AWS_CA_BUNDLE]' -r -F
complete -c upload -n "__fish_upload_using_subcommand status" -l proxy -d 'Connect through this proxy (http, https, socks5, socks5h) [env: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY]' -r -f
complete -c upload -n "__fish_upload_using_subcommand status" -l stall-after -d 'Reconnect if no byte moved on a connection for this long [default: 30s to 6m, depending on what is transferred]' -r
complete -c upload -n "__fish_upload_using_subcommand status" -l s3-endpoint -d 'The endpoint of the S3 service [env: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL] [default: that of the AWS profile, else Amazon\'s for the region]' -r -f
complete -c upload -n "__fish_upload_using_subcommand status" -l s3-region -d 'The region of the bucket [env: AWS_REGION, AWS_DEFAULT_REGION] [default: that of the AWS profile, else us-east-1 for endpoints other than Amazon\'s; the store may correct a default]' -r
complete -c upload -n "__fish_upload_using_subcommand status" -l journal -d 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand status" -l color -d 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand status" -l progress -d 'How to show progress [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars, on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress: results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand status" -l config -d 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]' -r -F
complete -c upload -n "__fish_upload_using_subcommand status" -l profile -d 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand status" -l remote -d 'Ask the backend for its view of the upload'
complete -c upload -n "__fish_upload_using_subcommand status" -l parts -d 'Show each part with its SHA-256; JSON always includes the parts'
complete -c upload -n "__fish_upload_using_subcommand status" -l allow-insecure-http -d 'Permit http:// backends and stores that are not on this machine'
complete -c upload -n "__fish_upload_using_subcommand status" -l s3-path-style -d 'Put the name of the bucket into the path of URLs instead of the host [default: as the AWS profile says]'
complete -c upload -n "__fish_upload_using_subcommand status" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand status" -s q -l quiet -d 'Show errors and warnings only; standard output is as without it'
complete -c upload -n "__fish_upload_using_subcommand status" -s v -l verbose -d 'Show more detail on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand abort" -l backend -d 'The backend of uploads that the journal does not know [env: UPLOAD_BACKEND]' -r -f
complete -c upload -n "__fish_upload_using_subcommand abort" -l give-up-after -d 'Give up if the backend has not responded after this long' -r
complete -c upload -n "__fish_upload_using_subcommand abort" -l token-file -d 'Read the API token from this file [env: UPLOAD_TOKEN_FILE, or UPLOAD_TOKEN for the token itself]' -r -F
complete -c upload -n "__fish_upload_using_subcommand abort" -l header -d 'Send this header with each call to the backend; repeatable' -r -f
complete -c upload -n "__fish_upload_using_subcommand abort" -l store-host -d 'Permit signed URLs to name this store although its address is private or has changed; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand abort" -l ca-cert -d 'Trust the certificates in this PEM file in addition to the system\'s [env: AWS_CA_BUNDLE]' -r -F
complete -c upload -n "__fish_upload_using_subcommand abort" -l proxy -d 'Connect through this proxy (http, https, socks5, socks5h) [env: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY]' -r -f
complete -c upload -n "__fish_upload_using_subcommand abort" -l stall-after -d 'Reconnect if no byte moved on a connection for this long [default: 30s to 6m, depending on what is transferred]' -r
complete -c upload -n "__fish_upload_using_subcommand abort" -l s3-endpoint -d 'The endpoint of the S3 service [env: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL] [default: that of the AWS profile, else Amazon\'s for the region]' -r -f
complete -c upload -n "__fish_upload_using_subcommand abort" -l s3-region -d 'The region of the bucket [env: AWS_REGION, AWS_DEFAULT_REGION] [default: that of the AWS profile, else us-east-1 for endpoints other than Amazon\'s; the store may correct a default]' -r
complete -c upload -n "__fish_upload_using_subcommand abort" -l journal -d 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand abort" -l color -d 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand abort" -l progress -d 'How to show progress [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars, on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress: results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand abort" -l config -d 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]' -r -F
complete -c upload -n "__fish_upload_using_subcommand abort" -l profile -d 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand abort" -l allow-insecure-http -d 'Permit http:// backends and stores that are not on this machine'
complete -c upload -n "__fish_upload_using_subcommand abort" -l s3-path-style -d 'Put the name of the bucket into the path of URLs instead of the host [default: as the AWS profile says]'
complete -c upload -n "__fish_upload_using_subcommand abort" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand abort" -s q -l quiet -d 'Show errors and warnings only; standard output is as without it'
complete -c upload -n "__fish_upload_using_subcommand abort" -s v -l verbose -d 'Show more detail on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand abort" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand rm" -l backend -d 'The backend of uploads that the journal does not know [env: UPLOAD_BACKEND]' -r -f
complete -c upload -n "__fish_upload_using_subcommand rm" -l give-up-after -d 'Give up if the backend has not responded after this long' -r
complete -c upload -n "__fish_upload_using_subcommand rm" -l token-file -d 'Read the API token from this file [env: UPLOAD_TOKEN_FILE, or UPLOAD_TOKEN for the token itself]' -r -F
complete -c upload -n "__fish_upload_using_subcommand rm" -l header -d 'Send this header with each call to the backend; repeatable' -r -f
complete -c upload -n "__fish_upload_using_subcommand rm" -l store-host -d 'Permit signed URLs to name this store although its address is private or has changed; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand rm" -l ca-cert -d 'Trust the certificates in this PEM file in addition to the system\'s [env: AWS_CA_BUNDLE]' -r -F
complete -c upload -n "__fish_upload_using_subcommand rm" -l proxy -d 'Connect through this proxy (http, https, socks5, socks5h) [env: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY]' -r -f
complete -c upload -n "__fish_upload_using_subcommand rm" -l stall-after -d 'Reconnect if no byte moved on a connection for this long [default: 30s to 6m, depending on what is transferred]' -r
complete -c upload -n "__fish_upload_using_subcommand rm" -l s3-endpoint -d 'The endpoint of the S3 service [env: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL] [default: that of the AWS profile, else Amazon\'s for the region]' -r -f
complete -c upload -n "__fish_upload_using_subcommand rm" -l s3-region -d 'The region of the bucket [env: AWS_REGION, AWS_DEFAULT_REGION] [default: that of the AWS profile, else us-east-1 for endpoints other than Amazon\'s; the store may correct a default]' -r
complete -c upload -n "__fish_upload_using_subcommand rm" -l journal -d 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand rm" -l color -d 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand rm" -l progress -d 'How to show progress [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars, on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress: results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand rm" -l config -d 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]' -r -F
complete -c upload -n "__fish_upload_using_subcommand rm" -l profile -d 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand rm" -l allow-insecure-http -d 'Permit http:// backends and stores that are not on this machine'
complete -c upload -n "__fish_upload_using_subcommand rm" -l s3-path-style -d 'Put the name of the bucket into the path of URLs instead of the host [default: as the AWS profile says]'
complete -c upload -n "__fish_upload_using_subcommand rm" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand rm" -s q -l quiet -d 'Show errors and warnings only; standard output is as without it'
complete -c upload -n "__fish_upload_using_subcommand rm" -s v -l verbose -d 'Show more detail on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand rm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand prune" -l older-than -d 'Keep uploads that finished less than this long ago, such as 30d [default: keep none]' -r
complete -c upload -n "__fish_upload_using_subcommand prune" -l backend -d 'The backend for --orphans; this flag implies --orphans, the variable does not [env: UPLOAD_BACKEND]' -r -f
complete -c upload -n "__fish_upload_using_subcommand prune" -l give-up-after -d 'Give up if the backend has not responded after this long' -r
complete -c upload -n "__fish_upload_using_subcommand prune" -l token-file -d 'Read the API token from this file [env: UPLOAD_TOKEN_FILE, or UPLOAD_TOKEN for the token itself]' -r -F
complete -c upload -n "__fish_upload_using_subcommand prune" -l header -d 'Send this header with each call to the backend; repeatable' -r -f
complete -c upload -n "__fish_upload_using_subcommand prune" -l store-host -d 'Permit signed URLs to name this store although its address is private or has changed; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand prune" -l ca-cert -d 'Trust the certificates in this PEM file in addition to the system\'s [env: AWS_CA_BUNDLE]' -r -F
complete -c upload -n "__fish_upload_using_subcommand prune" -l proxy -d 'Connect through this proxy (http, https, socks5, socks5h) [env: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY]' -r -f
complete -c upload -n "__fish_upload_using_subcommand prune" -l stall-after -d 'Reconnect if no byte moved on a connection for this long [default: 30s to 6m, depending on what is transferred]' -r
complete -c upload -n "__fish_upload_using_subcommand prune" -l s3-endpoint -d 'The endpoint of the S3 service [env: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL] [default: that of the AWS profile, else Amazon\'s for the region]' -r -f
complete -c upload -n "__fish_upload_using_subcommand prune" -l s3-region -d 'The region of the bucket [env: AWS_REGION, AWS_DEFAULT_REGION] [default: that of the AWS profile, else us-east-1 for endpoints other than Amazon\'s; the store may correct a default]' -r
complete -c upload -n "__fish_upload_using_subcommand prune" -l journal -d 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand prune" -l color -d 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand prune" -l progress -d 'How to show progress [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars, on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress: results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand prune" -l config -d 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]' -r -F
complete -c upload -n "__fish_upload_using_subcommand prune" -l profile -d 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand prune" -l dry-run -d 'Remove nothing, and print what would be removed'
complete -c upload -n "__fish_upload_using_subcommand prune" -l orphans -d 'Also list the uploads that the backend has in progress and the journal does not know'
complete -c upload -n "__fish_upload_using_subcommand prune" -l allow-insecure-http -d 'Permit http:// backends and stores that are not on this machine'
complete -c upload -n "__fish_upload_using_subcommand prune" -l s3-path-style -d 'Put the name of the bucket into the path of URLs instead of the host [default: as the AWS profile says]'
complete -c upload -n "__fish_upload_using_subcommand prune" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand prune" -s q -l quiet -d 'Show errors and warnings only; standard output is as without it'
complete -c upload -n "__fish_upload_using_subcommand prune" -s v -l verbose -d 'Show more detail on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand prune" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand cat" -l give-up-after -d 'Give up if the backend has not responded after this long' -r
complete -c upload -n "__fish_upload_using_subcommand cat" -l token-file -d 'Read the API token from this file [env: UPLOAD_TOKEN_FILE, or UPLOAD_TOKEN for the token itself]' -r -F
complete -c upload -n "__fish_upload_using_subcommand cat" -l header -d 'Send this header with each call to the backend; repeatable' -r -f
complete -c upload -n "__fish_upload_using_subcommand cat" -l store-host -d 'Permit signed URLs to name this store although its address is private or has changed; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand cat" -l ca-cert -d 'Trust the certificates in this PEM file in addition to the system\'s [env: AWS_CA_BUNDLE]' -r -F
complete -c upload -n "__fish_upload_using_subcommand cat" -l proxy -d 'Connect through this proxy (http, https, socks5, socks5h) [env: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY]' -r -f
complete -c upload -n "__fish_upload_using_subcommand cat" -l stall-after -d 'Reconnect if no byte moved on a connection for this long [default: 30s to 6m, depending on what is transferred]' -r
complete -c upload -n "__fish_upload_using_subcommand cat" -l s3-endpoint -d 'The endpoint of the S3 service [env: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL] [default: that of the AWS profile, else Amazon\'s for the region]' -r -f
complete -c upload -n "__fish_upload_using_subcommand cat" -l s3-region -d 'The region of the bucket [env: AWS_REGION, AWS_DEFAULT_REGION] [default: that of the AWS profile, else us-east-1 for endpoints other than Amazon\'s; the store may correct a default]' -r
complete -c upload -n "__fish_upload_using_subcommand cat" -l journal -d 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand cat" -l color -d 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand cat" -l progress -d 'How to show progress [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars, on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress: results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand cat" -l config -d 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]' -r -F
complete -c upload -n "__fish_upload_using_subcommand cat" -l profile -d 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand cat" -l allow-insecure-http -d 'Permit http:// backends and stores that are not on this machine'
complete -c upload -n "__fish_upload_using_subcommand cat" -l s3-path-style -d 'Put the name of the bucket into the path of URLs instead of the host [default: as the AWS profile says]'
complete -c upload -n "__fish_upload_using_subcommand cat" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand cat" -s q -l quiet -d 'Show errors and warnings only; standard output is as without it'
complete -c upload -n "__fish_upload_using_subcommand cat" -s v -l verbose -d 'Show more detail on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand cat" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand url" -l backend -d 'Ask this gateway instead of the backend of the upload' -r -f
complete -c upload -n "__fish_upload_using_subcommand url" -l expires -d 'How long the URL is valid, such as 15m or 7d, at most 7d [default: 1h]' -r
complete -c upload -n "__fish_upload_using_subcommand url" -l give-up-after -d 'Give up if the backend has not responded after this long' -r
complete -c upload -n "__fish_upload_using_subcommand url" -l token-file -d 'Read the API token from this file [env: UPLOAD_TOKEN_FILE, or UPLOAD_TOKEN for the token itself]' -r -F
complete -c upload -n "__fish_upload_using_subcommand url" -l header -d 'Send this header with each call to the backend; repeatable' -r -f
complete -c upload -n "__fish_upload_using_subcommand url" -l store-host -d 'Permit signed URLs to name this store although its address is private or has changed; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand url" -l ca-cert -d 'Trust the certificates in this PEM file in addition to the system\'s [env: AWS_CA_BUNDLE]' -r -F
complete -c upload -n "__fish_upload_using_subcommand url" -l proxy -d 'Connect through this proxy (http, https, socks5, socks5h) [env: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY]' -r -f
complete -c upload -n "__fish_upload_using_subcommand url" -l stall-after -d 'Reconnect if no byte moved on a connection for this long [default: 30s to 6m, depending on what is transferred]' -r
complete -c upload -n "__fish_upload_using_subcommand url" -l s3-endpoint -d 'The endpoint of the S3 service [env: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL] [default: that of the AWS profile, else Amazon\'s for the region]' -r -f
complete -c upload -n "__fish_upload_using_subcommand url" -l s3-region -d 'The region of the bucket [env: AWS_REGION, AWS_DEFAULT_REGION] [default: that of the AWS profile, else us-east-1 for endpoints other than Amazon\'s; the store may correct a default]' -r
complete -c upload -n "__fish_upload_using_subcommand url" -l journal -d 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand url" -l color -d 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand url" -l progress -d 'How to show progress [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars, on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress: results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand url" -l config -d 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]' -r -F
complete -c upload -n "__fish_upload_using_subcommand url" -l profile -d 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand url" -l allow-insecure-http -d 'Permit http:// backends and stores that are not on this machine'
complete -c upload -n "__fish_upload_using_subcommand url" -l s3-path-style -d 'Put the name of the bucket into the path of URLs instead of the host [default: as the AWS profile says]'
complete -c upload -n "__fish_upload_using_subcommand url" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand url" -s q -l quiet -d 'Show errors and warnings only; standard output is as without it'
complete -c upload -n "__fish_upload_using_subcommand url" -s v -l verbose -d 'Show more detail on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand url" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand config" -l backend -d 'As for put [env: UPLOAD_BACKEND]' -r -f
complete -c upload -n "__fish_upload_using_subcommand config" -l part-size -d 'As for put' -r
complete -c upload -n "__fish_upload_using_subcommand config" -l key-style -d 'As for put [default: name for s3://, otherwise uuid]' -r -f -a "name\t'The name of the file'
uuid\t'The backend makes a new key for each upload'"
complete -c upload -n "__fish_upload_using_subcommand config" -l if-exists -d 'As for put [default: same]' -r -f -a "same\t'Compare it with the file: the same content is already uploaded; another one, or another value of a named attribute, is exit code 77'
fail\t'Exit with code 77'
overwrite\t'Replace it'
skip\t'Leave the file out, and exit with code 0'
update\t'Compare it with the file: replace it if its content, or a named attribute, differs, or if it cannot be compared'"
complete -c upload -n "__fish_upload_using_subcommand config" -l jobs -d 'As for put [default: auto]' -r
complete -c upload -n "__fish_upload_using_subcommand config" -l limit-rate -d 'As for put [env: UPLOAD_LIMIT_RATE] [default: none]' -r
complete -c upload -n "__fish_upload_using_subcommand config" -l give-up-after -d 'As for put [default: never at a terminal, otherwise 15m]' -r
complete -c upload -n "__fish_upload_using_subcommand config" -l token-file -d 'Read the API token from this file [env: UPLOAD_TOKEN_FILE, or UPLOAD_TOKEN for the token itself]' -r -F
complete -c upload -n "__fish_upload_using_subcommand config" -l header -d 'Send this header with each call to the backend; repeatable' -r -f
complete -c upload -n "__fish_upload_using_subcommand config" -l store-host -d 'Permit signed URLs to name this store although its address is private or has changed; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand config" -l ca-cert -d 'Trust the certificates in this PEM file in addition to the system\'s [env: AWS_CA_BUNDLE]' -r -F
complete -c upload -n "__fish_upload_using_subcommand config" -l proxy -d 'Connect through this proxy (http, https, socks5, socks5h) [env: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY]' -r -f
complete -c upload -n "__fish_upload_using_subcommand config" -l stall-after -d 'Reconnect if no byte moved on a connection for this long [default: 30s to 6m, depending on what is transferred]' -r
complete -c upload -n "__fish_upload_using_subcommand config" -l s3-endpoint -d 'The endpoint of the S3 service [env: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL] [default: that of the AWS profile, else Amazon\'s for the region]' -r -f
complete -c upload -n "__fish_upload_using_subcommand config" -l s3-region -d 'The region of the bucket [env: AWS_REGION, AWS_DEFAULT_REGION] [default: that of the AWS profile, else us-east-1 for endpoints other than Amazon\'s; the store may correct a default]' -r
complete -c upload -n "__fish_upload_using_subcommand config" -l journal -d 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand config" -l color -d 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand config" -l progress -d 'How to show progress [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars, on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress: results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand config" -l config -d 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]' -r -F
complete -c upload -n "__fish_upload_using_subcommand config" -l profile -d 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand config" -l allow-insecure-http -d 'Permit http:// backends and stores that are not on this machine'
complete -c upload -n "__fish_upload_using_subcommand config" -l s3-path-style -d 'Put the name of the bucket into the path of URLs instead of the host [default: as the AWS profile says]'
complete -c upload -n "__fish_upload_using_subcommand config" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand config" -s q -l quiet -d 'Show errors and warnings only; standard output is as without it'
complete -c upload -n "__fish_upload_using_subcommand config" -s v -l verbose -d 'Show more detail on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand config" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l listen -d 'The address to listen on; port 0 takes a free one, which is printed on standard error' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l public-url -d 'The base of the URLs that clients get; terminate TLS at a reverse proxy [default: the address of --listen]' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l metrics-listen -d 'Serve metrics (Prometheus), health and readiness on this address, without authentication [default: not served]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l store -d 'The store: embedded, embedded:DIR, or s3://BUCKET/PREFIX with the usual AWS credentials' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l s3-public-endpoint -d 'The endpoint in the URLs that clients get, if they reach the store by another address than the gateway, such as https://s3.example.com while the gateway uses http://minio:9000 [default: that of --s3-endpoint]' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l ledger -d 'The ledger: sqlite, sqlite:FILE, postgres://USER@HOST/DATABASE, or @FILE with one of these [env: UPLOAD_LEDGER] [default: sqlite, gateway.db in the state directory]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l store-credentials -d 'Write the endpoint and the keys of the embedded store to this file (mode 0600), for other S3 clients' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l allow-type -d 'An accepted content type, as a glob; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l allow-attribute -d 'An attribute that clients may choose for their objects, or all; repeatable [default: none]' -r -f -a "acl\t''
cache-control\t''
content-disposition\t''
content-encoding\t''
content-language\t''
expires\t''
sse\t''
storage-class\t''
tag\t''
all\t''"
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l max-size -d 'The largest accepted upload, such as 50GiB [default: the limit of the store]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l url-ttl -d 'The minimum validity of a signed URL; URLs of large parts are valid longer' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l upload-ttl -d 'How long an unfinished upload is kept after the last call about it' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l lease -d 'How long a client may be silent before another may take over its upload; clients call every 20s' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l keep-ended -d 'How long the ledger keeps a record of uploads that were aborted, rejected or have expired; with the value never, they are never deleted' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l sweep-every -d 'How often to end abandoned uploads (expired ones and unfinished completes); with the value never, only other gateways do it' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l events -d 'Receive events from the store: sqs:QUEUE_URL, or webhook (POST /v1/events/s3) [default: no events]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l events-secret-file -d 'The secret that the webhook of --events must send: one line of visible ASCII' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l companion -d 'Serve the upload routes of Uppy Companion below this path, / or /companion [default: not served]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l allow-origin -d 'Let pages of this origin, such as https://app.example.com, call the gateway and its embedded store; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l cdn -d 'The base URL for reading objects, such as https://cdn.example.com [default: read URLs are presigned]' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l hook -d 'A check that each upload must pass before it is ready: a program or a webhook; repeatable, run in the given order' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l hook-arg -d 'One more argument for the program of the hook NAME; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l hook-secret-file -d 'Sign webhooks with the secret in this file, at least 16 characters; required for webhooks' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l hook-timeout -d 'How long a hook may take for one upload' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l on-reject -d 'What to do with an object that a hook rejects: delete, keep, or quarantine:PREFIX' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l sse -d 'Server-side encryption of new objects: AES256, aws:kms or aws:kms:KEY-ID [default: that of the bucket]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l required-header -d 'A header that the bucket requires when an object is created; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l store-probe -d 'Whether to test at the start that the store refuses a wrong body and a wrong length' -r -f -a "require\t'Do not start if the store accepts them'
warn\t'Log a warning and start'
off\t'Do not test'"
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l store-checksum -d 'The check that the store must enforce on each part; receipts name it as their proof' -r -f -a "auto\t'The strongest that the probe found'
sha256\t'The header x-amz-checksum-sha256, signed'
payload\t'The SHA-256 as the payload hash of the signature'
md5\t'The header Content-MD5, signed'
none\t'Nothing'"
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l drain -d 'After a signal to stop, keep serving for this long while /readyz responds with 503 [default: stop at once]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l log-format -d 'The format of the log on standard error; -v adds a line for each request' -r -f -a "text\t'Lines for people'
json\t'One JSON object per line'"
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l auth -d 'How clients authenticate; tokens,jwt accepts both [default: none on loopback; required on other addresses]' -r -f -a "none\t'No authentication: on loopback only'
tokens\t'Tokens made by `upload serve token add`'
jwt\t'Tokens signed by --jwt-issuer, for example of a GitHub Actions job'"
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l jwt-issuer -d 'For --auth jwt: the issuer of accepted tokens (`iss`), such as https://token.actions.githubusercontent.com; repeatable' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l jwt-audience -d 'For --auth jwt: the required audience (`aud`); choose a name that only this gateway uses; repeatable: one must match' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l jwt-jwks -d 'For --auth jwt: the URL of the issuer\'s keys [default: from its /.well-known/openid-configuration]' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l jwt-algorithm -d 'For --auth jwt: the accepted signature algorithms; tokens that name another are rejected' -r -f -a "RS256\t'RSA of 2048 bits or more, with SHA-256'
RS384\t'The same with SHA-384'
RS512\t'The same with SHA-512'
PS256\t'RSA-PSS, with SHA-256'
PS384\t'RSA-PSS, with SHA-384'
PS512\t'RSA-PSS, with SHA-512'
ES256\t'ECDSA on P-256, with SHA-256'
ES384\t'ECDSA on P-384, with SHA-384'
EdDSA\t'Ed25519'"
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l jwt-claim -d 'For --auth jwt: a claim that tokens must have, and a glob for its value; repeatable, required at least once' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l jwt-owner-claim -d 'For --auth jwt: the claim that identifies the owner of uploads; for GitHub Actions repository_id, since sub differs by branch' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l rate -d 'Calls and signed URLs per owner, such as 100/s or 100/s,burst=5000 [default: unlimited]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l quota -d 'Limits per owner: open=1000 unfinished uploads, outstanding=1TiB in these, total=10TiB including ready uploads [default: unlimited]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l limits -d 'Limits of some owners, as a TOML table; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l subjects -d 'The places at which the subjects of owners (`token:NAME`, `jwt:ISSUER CLAIM`) appear' -r -f -a "all\t'In the log and in the documents of hooks'
hooks\t'In the documents of hooks'
none\t'In the ledger only'"
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l ca-cert -d 'Trust the certificates in this PEM file in addition to the system\'s [env: AWS_CA_BUNDLE]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l proxy -d 'Connect through this proxy (http, https, socks5, socks5h) [env: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY]' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l s3-endpoint -d 'The endpoint of the S3 service [env: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL] [default: that of the AWS profile, else Amazon\'s for the region]' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l s3-region -d 'The region of the bucket [env: AWS_REGION, AWS_DEFAULT_REGION] [default: that of the AWS profile, else us-east-1 for endpoints other than Amazon\'s; the store may correct a default]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l journal -d 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l color -d 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l progress -d 'How to show progress [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars, on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress: results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l config -d 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l profile -d 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l store-presigned-puts -d 'The embedded store also accepts presigned PUTs whose length is not signed, as SDKs make them; such a URL permits up to 5 GiB'
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l client-keys -d 'Let clients choose the keys of their objects, as far as they match a pattern of the client\'s token (serve token add --keys) or of the keys of --limits'
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l client-delete -d 'Let clients delete the objects of their finished uploads (`upload rm`); this also frees their quota'
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l check -d 'Check flags and configuration file, open nothing, and exit'
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l probe -d 'Test everything that the store may enforce, print the results and their consequences, and exit; sends about 11 MiB'
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l s3-path-style -d 'Put the name of the bucket into the path of URLs instead of the host [default: as the AWS profile says]'
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -s q -l quiet -d 'Show errors and warnings only; standard output is as without it'
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -s v -l verbose -d 'Show more detail on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -f -a "token" -d 'Make, list and revoke API tokens'
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -f -a "uploads" -d 'List the uploads of all owners, in the order in which they began'
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -f -a "usage" -d 'List each owner\'s uploads and bytes: unfinished, stored and ended'
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -f -a "owners" -d 'List owners: segment, first and last use, subject'
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -f -a "sweep" -d 'Sweep once, print what was done, and exit; running gateways need not be stopped'
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -f -a "rm" -d 'Remove uploads of any owner with their objects, and exit; running gateways need not be stopped'
complete -c upload -n "__fish_upload_using_subcommand serve; and not __fish_seen_subcommand_from token uploads usage owners sweep rm prune" -f -a "prune" -d 'Delete the records of old uploads from the ledger, and release their space'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from token" -l journal -d 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from token" -l color -d 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from token" -l progress -d 'How to show progress [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars, on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress: results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from token" -l config -d 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from token" -l profile -d 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from token" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from token" -s q -l quiet -d 'Show errors and warnings only; standard output is as without it'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from token" -s v -l verbose -d 'Show more detail on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from token" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from token" -f -a "add" -d 'Make a token and print it; it cannot be printed again'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from token" -f -a "list" -d 'List tokens: id, creation, last use, validity, name'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from token" -f -a "revoke" -d 'Revoke a token'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from uploads" -l owner -d 'Only uploads of this owner: its segment, its subject, or the name of its tokens' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from uploads" -l state -d 'Only uploads in this state' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from uploads" -l since -d 'Only uploads that began in this time: a duration such as 24h, or a time such as 2026-11-30 or 2026-11-30T08:00Z' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from uploads" -l ledger -d 'The ledger: sqlite, sqlite:FILE, postgres://USER@HOST/DATABASE, or @FILE with one of these [env: UPLOAD_LEDGER] [default: sqlite, gateway.db in the state directory]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from uploads" -l journal -d 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from uploads" -l color -d 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from uploads" -l progress -d 'How to show progress [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars, on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress: results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from uploads" -l config -d 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from uploads" -l profile -d 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from uploads" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from uploads" -s q -l quiet -d 'Show errors and warnings only; standard output is as without it'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from uploads" -s v -l verbose -d 'Show more detail on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from uploads" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from usage" -l ledger -d 'The ledger: sqlite, sqlite:FILE, postgres://USER@HOST/DATABASE, or @FILE with one of these [env: UPLOAD_LEDGER] [default: sqlite, gateway.db in the state directory]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from usage" -l journal -d 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from usage" -l color -d 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from usage" -l progress -d 'How to show progress [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars, on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress: results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from usage" -l config -d 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from usage" -l profile -d 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from usage" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from usage" -s q -l quiet -d 'Show errors and warnings only; standard output is as without it'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from usage" -s v -l verbose -d 'Show more detail on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from usage" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from owners" -l ledger -d 'The ledger: sqlite, sqlite:FILE, postgres://USER@HOST/DATABASE, or @FILE with one of these [env: UPLOAD_LEDGER] [default: sqlite, gateway.db in the state directory]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from owners" -l journal -d 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from owners" -l color -d 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from owners" -l progress -d 'How to show progress [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars, on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress: results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from owners" -l config -d 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from owners" -l profile -d 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from owners" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from owners" -s q -l quiet -d 'Show errors and warnings only; standard output is as without it'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from owners" -s v -l verbose -d 'Show more detail on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from owners" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l listen -d 'The address to listen on; port 0 takes a free one, which is printed on standard error' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l public-url -d 'The base of the URLs that clients get; terminate TLS at a reverse proxy [default: the address of --listen]' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l metrics-listen -d 'Serve metrics (Prometheus), health and readiness on this address, without authentication [default: not served]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l store -d 'The store: embedded, embedded:DIR, or s3://BUCKET/PREFIX with the usual AWS credentials' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l s3-public-endpoint -d 'The endpoint in the URLs that clients get, if they reach the store by another address than the gateway, such as https://s3.example.com while the gateway uses http://minio:9000 [default: that of --s3-endpoint]' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l ledger -d 'The ledger: sqlite, sqlite:FILE, postgres://USER@HOST/DATABASE, or @FILE with one of these [env: UPLOAD_LEDGER] [default: sqlite, gateway.db in the state directory]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l store-credentials -d 'Write the endpoint and the keys of the embedded store to this file (mode 0600), for other S3 clients' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l allow-type -d 'An accepted content type, as a glob; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l allow-attribute -d 'An attribute that clients may choose for their objects, or all; repeatable [default: none]' -r -f -a "acl\t''
cache-control\t''
content-disposition\t''
content-encoding\t''
content-language\t''
expires\t''
sse\t''
storage-class\t''
tag\t''
all\t''"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l max-size -d 'The largest accepted upload, such as 50GiB [default: the limit of the store]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l url-ttl -d 'The minimum validity of a signed URL; URLs of large parts are valid longer' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l upload-ttl -d 'How long an unfinished upload is kept after the last call about it' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l lease -d 'How long a client may be silent before another may take over its upload; clients call every 20s' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l keep-ended -d 'How long the ledger keeps a record of uploads that were aborted, rejected or have expired; with the value never, they are never deleted' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l sweep-every -d 'How often to end abandoned uploads (expired ones and unfinished completes); with the value never, only other gateways do it' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l events -d 'Receive events from the store: sqs:QUEUE_URL, or webhook (POST /v1/events/s3) [default: no events]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l events-secret-file -d 'The secret that the webhook of --events must send: one line of visible ASCII' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l companion -d 'Serve the upload routes of Uppy Companion below this path, / or /companion [default: not served]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l allow-origin -d 'Let pages of this origin, such as https://app.example.com, call the gateway and its embedded store; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l cdn -d 'The base URL for reading objects, such as https://cdn.example.com [default: read URLs are presigned]' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l hook -d 'A check that each upload must pass before it is ready: a program or a webhook; repeatable, run in the given order' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l hook-arg -d 'One more argument for the program of the hook NAME; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l hook-secret-file -d 'Sign webhooks with the secret in this file, at least 16 characters; required for webhooks' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l hook-timeout -d 'How long a hook may take for one upload' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l on-reject -d 'What to do with an object that a hook rejects: delete, keep, or quarantine:PREFIX' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l sse -d 'Server-side encryption of new objects: AES256, aws:kms or aws:kms:KEY-ID [default: that of the bucket]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l required-header -d 'A header that the bucket requires when an object is created; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l store-probe -d 'Whether to test at the start that the store refuses a wrong body and a wrong length' -r -f -a "require\t'Do not start if the store accepts them'
warn\t'Log a warning and start'
off\t'Do not test'"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l store-checksum -d 'The check that the store must enforce on each part; receipts name it as their proof' -r -f -a "auto\t'The strongest that the probe found'
sha256\t'The header x-amz-checksum-sha256, signed'
payload\t'The SHA-256 as the payload hash of the signature'
md5\t'The header Content-MD5, signed'
none\t'Nothing'"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l drain -d 'After a signal to stop, keep serving for this long while /readyz responds with 503 [default: stop at once]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l log-format -d 'The format of the log on standard error; -v adds a line for each request' -r -f -a "text\t'Lines for people'
json\t'One JSON object per line'"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l auth -d 'How clients authenticate; tokens,jwt accepts both [default: none on loopback; required on other addresses]' -r -f -a "none\t'No authentication: on loopback only'
tokens\t'Tokens made by `upload serve token add`'
jwt\t'Tokens signed by --jwt-issuer, for example of a GitHub Actions job'"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l jwt-issuer -d 'For --auth jwt: the issuer of accepted tokens (`iss`), such as https://token.actions.githubusercontent.com; repeatable' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l jwt-audience -d 'For --auth jwt: the required audience (`aud`); choose a name that only this gateway uses; repeatable: one must match' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l jwt-jwks -d 'For --auth jwt: the URL of the issuer\'s keys [default: from its /.well-known/openid-configuration]' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l jwt-algorithm -d 'For --auth jwt: the accepted signature algorithms; tokens that name another are rejected' -r -f -a "RS256\t'RSA of 2048 bits or more, with SHA-256'
RS384\t'The same with SHA-384'
RS512\t'The same with SHA-512'
PS256\t'RSA-PSS, with SHA-256'
PS384\t'RSA-PSS, with SHA-384'
PS512\t'RSA-PSS, with SHA-512'
ES256\t'ECDSA on P-256, with SHA-256'
ES384\t'ECDSA on P-384, with SHA-384'
EdDSA\t'Ed25519'"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l jwt-claim -d 'For --auth jwt: a claim that tokens must have, and a glob for its value; repeatable, required at least once' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l jwt-owner-claim -d 'For --auth jwt: the claim that identifies the owner of uploads; for GitHub Actions repository_id, since sub differs by branch' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l rate -d 'Calls and signed URLs per owner, such as 100/s or 100/s,burst=5000 [default: unlimited]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l quota -d 'Limits per owner: open=1000 unfinished uploads, outstanding=1TiB in these, total=10TiB including ready uploads [default: unlimited]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l limits -d 'Limits of some owners, as a TOML table; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l subjects -d 'The places at which the subjects of owners (`token:NAME`, `jwt:ISSUER CLAIM`) appear' -r -f -a "all\t'In the log and in the documents of hooks'
hooks\t'In the documents of hooks'
none\t'In the ledger only'"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l ca-cert -d 'Trust the certificates in this PEM file in addition to the system\'s [env: AWS_CA_BUNDLE]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l proxy -d 'Connect through this proxy (http, https, socks5, socks5h) [env: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY]' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l s3-endpoint -d 'The endpoint of the S3 service [env: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL] [default: that of the AWS profile, else Amazon\'s for the region]' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l s3-region -d 'The region of the bucket [env: AWS_REGION, AWS_DEFAULT_REGION] [default: that of the AWS profile, else us-east-1 for endpoints other than Amazon\'s; the store may correct a default]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l journal -d 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l color -d 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l progress -d 'How to show progress [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars, on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress: results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l config -d 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l profile -d 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l dry-run -d 'Print what would be done, and change nothing'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l store-presigned-puts -d 'The embedded store also accepts presigned PUTs whose length is not signed, as SDKs make them; such a URL permits up to 5 GiB'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l client-keys -d 'Let clients choose the keys of their objects, as far as they match a pattern of the client\'s token (serve token add --keys) or of the keys of --limits'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l client-delete -d 'Let clients delete the objects of their finished uploads (`upload rm`); this also frees their quota'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l check -d 'Check flags and configuration file, open nothing, and exit'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l probe -d 'Test everything that the store may enforce, print the results and their consequences, and exit; sends about 11 MiB'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l s3-path-style -d 'Put the name of the bucket into the path of URLs instead of the host [default: as the AWS profile says]'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -s q -l quiet -d 'Show errors and warnings only; standard output is as without it'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -s v -l verbose -d 'Show more detail on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from sweep" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l listen -d 'The address to listen on; port 0 takes a free one, which is printed on standard error' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l public-url -d 'The base of the URLs that clients get; terminate TLS at a reverse proxy [default: the address of --listen]' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l metrics-listen -d 'Serve metrics (Prometheus), health and readiness on this address, without authentication [default: not served]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l store -d 'The store: embedded, embedded:DIR, or s3://BUCKET/PREFIX with the usual AWS credentials' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l s3-public-endpoint -d 'The endpoint in the URLs that clients get, if they reach the store by another address than the gateway, such as https://s3.example.com while the gateway uses http://minio:9000 [default: that of --s3-endpoint]' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l ledger -d 'The ledger: sqlite, sqlite:FILE, postgres://USER@HOST/DATABASE, or @FILE with one of these [env: UPLOAD_LEDGER] [default: sqlite, gateway.db in the state directory]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l store-credentials -d 'Write the endpoint and the keys of the embedded store to this file (mode 0600), for other S3 clients' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l allow-type -d 'An accepted content type, as a glob; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l allow-attribute -d 'An attribute that clients may choose for their objects, or all; repeatable [default: none]' -r -f -a "acl\t''
cache-control\t''
content-disposition\t''
content-encoding\t''
content-language\t''
expires\t''
sse\t''
storage-class\t''
tag\t''
all\t''"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l max-size -d 'The largest accepted upload, such as 50GiB [default: the limit of the store]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l url-ttl -d 'The minimum validity of a signed URL; URLs of large parts are valid longer' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l upload-ttl -d 'How long an unfinished upload is kept after the last call about it' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l lease -d 'How long a client may be silent before another may take over its upload; clients call every 20s' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l keep-ended -d 'How long the ledger keeps a record of uploads that were aborted, rejected or have expired; with the value never, they are never deleted' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l sweep-every -d 'How often to end abandoned uploads (expired ones and unfinished completes); with the value never, only other gateways do it' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l events -d 'Receive events from the store: sqs:QUEUE_URL, or webhook (POST /v1/events/s3) [default: no events]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l events-secret-file -d 'The secret that the webhook of --events must send: one line of visible ASCII' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l companion -d 'Serve the upload routes of Uppy Companion below this path, / or /companion [default: not served]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l allow-origin -d 'Let pages of this origin, such as https://app.example.com, call the gateway and its embedded store; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l cdn -d 'The base URL for reading objects, such as https://cdn.example.com [default: read URLs are presigned]' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l hook -d 'A check that each upload must pass before it is ready: a program or a webhook; repeatable, run in the given order' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l hook-arg -d 'One more argument for the program of the hook NAME; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l hook-secret-file -d 'Sign webhooks with the secret in this file, at least 16 characters; required for webhooks' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l hook-timeout -d 'How long a hook may take for one upload' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l on-reject -d 'What to do with an object that a hook rejects: delete, keep, or quarantine:PREFIX' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l sse -d 'Server-side encryption of new objects: AES256, aws:kms or aws:kms:KEY-ID [default: that of the bucket]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l required-header -d 'A header that the bucket requires when an object is created; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l store-probe -d 'Whether to test at the start that the store refuses a wrong body and a wrong length' -r -f -a "require\t'Do not start if the store accepts them'
warn\t'Log a warning and start'
off\t'Do not test'"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l store-checksum -d 'The check that the store must enforce on each part; receipts name it as their proof' -r -f -a "auto\t'The strongest that the probe found'
sha256\t'The header x-amz-checksum-sha256, signed'
payload\t'The SHA-256 as the payload hash of the signature'
md5\t'The header Content-MD5, signed'
none\t'Nothing'"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l drain -d 'After a signal to stop, keep serving for this long while /readyz responds with 503 [default: stop at once]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l log-format -d 'The format of the log on standard error; -v adds a line for each request' -r -f -a "text\t'Lines for people'
json\t'One JSON object per line'"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l auth -d 'How clients authenticate; tokens,jwt accepts both [default: none on loopback; required on other addresses]' -r -f -a "none\t'No authentication: on loopback only'
tokens\t'Tokens made by `upload serve token add`'
jwt\t'Tokens signed by --jwt-issuer, for example of a GitHub Actions job'"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l jwt-issuer -d 'For --auth jwt: the issuer of accepted tokens (`iss`), such as https://token.actions.githubusercontent.com; repeatable' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l jwt-audience -d 'For --auth jwt: the required audience (`aud`); choose a name that only this gateway uses; repeatable: one must match' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l jwt-jwks -d 'For --auth jwt: the URL of the issuer\'s keys [default: from its /.well-known/openid-configuration]' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l jwt-algorithm -d 'For --auth jwt: the accepted signature algorithms; tokens that name another are rejected' -r -f -a "RS256\t'RSA of 2048 bits or more, with SHA-256'
RS384\t'The same with SHA-384'
RS512\t'The same with SHA-512'
PS256\t'RSA-PSS, with SHA-256'
PS384\t'RSA-PSS, with SHA-384'
PS512\t'RSA-PSS, with SHA-512'
ES256\t'ECDSA on P-256, with SHA-256'
ES384\t'ECDSA on P-384, with SHA-384'
EdDSA\t'Ed25519'"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l jwt-claim -d 'For --auth jwt: a claim that tokens must have, and a glob for its value; repeatable, required at least once' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l jwt-owner-claim -d 'For --auth jwt: the claim that identifies the owner of uploads; for GitHub Actions repository_id, since sub differs by branch' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l rate -d 'Calls and signed URLs per owner, such as 100/s or 100/s,burst=5000 [default: unlimited]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l quota -d 'Limits per owner: open=1000 unfinished uploads, outstanding=1TiB in these, total=10TiB including ready uploads [default: unlimited]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l limits -d 'Limits of some owners, as a TOML table; repeatable' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l subjects -d 'The places at which the subjects of owners (`token:NAME`, `jwt:ISSUER CLAIM`) appear' -r -f -a "all\t'In the log and in the documents of hooks'
hooks\t'In the documents of hooks'
none\t'In the ledger only'"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l ca-cert -d 'Trust the certificates in this PEM file in addition to the system\'s [env: AWS_CA_BUNDLE]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l proxy -d 'Connect through this proxy (http, https, socks5, socks5h) [env: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY]' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l s3-endpoint -d 'The endpoint of the S3 service [env: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL] [default: that of the AWS profile, else Amazon\'s for the region]' -r -f
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l s3-region -d 'The region of the bucket [env: AWS_REGION, AWS_DEFAULT_REGION] [default: that of the AWS profile, else us-east-1 for endpoints other than Amazon\'s; the store may correct a default]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l journal -d 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l color -d 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l progress -d 'How to show progress [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars, on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress: results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l config -d 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l profile -d 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l store-presigned-puts -d 'The embedded store also accepts presigned PUTs whose length is not signed, as SDKs make them; such a URL permits up to 5 GiB'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l client-keys -d 'Let clients choose the keys of their objects, as far as they match a pattern of the client\'s token (serve token add --keys) or of the keys of --limits'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l client-delete -d 'Let clients delete the objects of their finished uploads (`upload rm`); this also frees their quota'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l check -d 'Check flags and configuration file, open nothing, and exit'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l probe -d 'Test everything that the store may enforce, print the results and their consequences, and exit; sends about 11 MiB'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l s3-path-style -d 'Put the name of the bucket into the path of URLs instead of the host [default: as the AWS profile says]'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -s q -l quiet -d 'Show errors and warnings only; standard output is as without it'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -s v -l verbose -d 'Show more detail on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from prune" -l older-than -d 'Delete uploads that ended longer ago than this' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from prune" -l ledger -d 'The ledger: sqlite, sqlite:FILE, postgres://USER@HOST/DATABASE, or @FILE with one of these [env: UPLOAD_LEDGER] [default: sqlite, gateway.db in the state directory]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from prune" -l journal -d 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from prune" -l color -d 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from prune" -l progress -d 'How to show progress [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars, on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress: results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from prune" -l config -d 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]' -r -F
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from prune" -l profile -d 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from prune" -l ready -d 'Also delete the records of ready uploads that began longer ago'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from prune" -l dry-run -d 'Print what would be deleted, and change nothing'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from prune" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from prune" -s q -l quiet -d 'Show errors and warnings only; standard output is as without it'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from prune" -s v -l verbose -d 'Show more detail on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand serve; and __fish_seen_subcommand_from prune" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand completions" -l journal -d 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand completions" -l color -d 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand completions" -l progress -d 'How to show progress [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars, on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress: results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand completions" -l config -d 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]' -r -F
complete -c upload -n "__fish_upload_using_subcommand completions" -l profile -d 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand completions" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand completions" -s q -l quiet -d 'Show errors and warnings only; standard output is as without it'
complete -c upload -n "__fish_upload_using_subcommand completions" -s v -l verbose -d 'Show more detail on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand man" -l dir -d 'Write every page into this directory instead' -r -f -a "(__fish_complete_directories)"
complete -c upload -n "__fish_upload_using_subcommand man" -l journal -d 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand man" -l color -d 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand man" -l progress -d 'How to show progress [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars, on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress: results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand man" -l config -d 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]' -r -F
complete -c upload -n "__fish_upload_using_subcommand man" -l profile -d 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand man" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand man" -s q -l quiet -d 'Show errors and warnings only; standard output is as without it'
complete -c upload -n "__fish_upload_using_subcommand man" -s v -l verbose -d 'Show more detail on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand version" -l journal -d 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand version" -l color -d 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand version" -l progress -d 'How to show progress [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars, on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress: results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand version" -l config -d 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]' -r -F
complete -c upload -n "__fish_upload_using_subcommand version" -l profile -d 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand version" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand version" -s q -l quiet -d 'Show errors and warnings only; standard output is as without it'
complete -c upload -n "__fish_upload_using_subcommand version" -s v -l verbose -d 'Show more detail on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand version" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand help" -l journal -d 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]' -r -F
complete -c upload -n "__fish_upload_using_subcommand help" -l color -d 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c upload -n "__fish_upload_using_subcommand help" -l progress -d 'How to show progress [default: auto]' -r -f -a "auto\t'Bars on a terminal, plain lines elsewhere'
bar\t'Bars, on a terminal only'
plain\t'A line at most every 10 seconds'
none\t'No progress: results, errors and a summary only'"
complete -c upload -n "__fish_upload_using_subcommand help" -l config -d 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]' -r -F
complete -c upload -n "__fish_upload_using_subcommand help" -l profile -d 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]' -r
complete -c upload -n "__fish_upload_using_subcommand help" -l json -d 'Print JSON lines on standard output, and nothing else there'
complete -c upload -n "__fish_upload_using_subcommand help" -s q -l quiet -d 'Show errors and warnings only; standard output is as without it'
complete -c upload -n "__fish_upload_using_subcommand help" -s v -l verbose -d 'Show more detail on standard error; repeat for more'
complete -c upload -n "__fish_upload_using_subcommand help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c upload -n "__fish_upload_using_subcommand status cat url rm" -k -a "(upload list --ids --all 2>/dev/null)"
complete -c upload -n "__fish_upload_using_subcommand resume abort" -k -a "(upload list --ids 2>/dev/null)"
complete -c upload -n "__fish_upload_using_subcommand put resume list abort rm prune url config" -l backend -x -a "embedded\t'A store on this machine'
https://\t'A gateway'
companion+https://\t'An Uppy Companion'
s3://\t'An S3 bucket'"
