
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'upload' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'upload'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'upload' {
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'How to show progress [default: auto]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON lines on standard output, and nothing else there')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('put', 'put', [CompletionResultType]::ParameterValue, 'Upload files; continues an unfinished upload of the same file to the same backend')
            [CompletionResult]::new('resume', 'resume', [CompletionResultType]::ParameterValue, 'Continue unfinished uploads: the named ones, or all')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List the unfinished uploads in the journal')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Show one upload with its parts')
            [CompletionResult]::new('abort', 'abort', [CompletionResultType]::ParameterValue, 'Abort uploads: removes their parts from the store')
            [CompletionResult]::new('prune', 'prune', [CompletionResultType]::ParameterValue, 'Remove finished uploads from the journal, and list orphans')
            [CompletionResult]::new('cat', 'cat', [CompletionResultType]::ParameterValue, 'Write an uploaded object to standard output, and verify it')
            [CompletionResult]::new('url', 'url', [CompletionResultType]::ParameterValue, 'Print a URL for reading an uploaded object')
            [CompletionResult]::new('config', 'config', [CompletionResultType]::ParameterValue, 'Print the effective settings and their origins')
            [CompletionResult]::new('serve', 'serve', [CompletionResultType]::ParameterValue, 'Run a gateway, which signs uploads for clients without storage credentials')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print a completion script for a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Print a man page, or write all of them to a directory')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'upload;put' {
            [CompletionResult]::new('--backend', '--backend', [CompletionResultType]::ParameterName, 'The backend to upload to [env: UPLOAD_BACKEND]')
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'The name of the object, for a single file; 1 to 200 characters [default: the name of the file]')
            [CompletionResult]::new('--part-size', '--part-size', [CompletionResultType]::ParameterName, 'The size of a part, 5MiB to 5GiB [default: 8MiB, more for very large files]')
            [CompletionResult]::new('--content-type', '--content-type', [CompletionResultType]::ParameterName, 'The content type [default: from the extension of the name, else application/octet-stream]')
            [CompletionResult]::new('--meta', '--meta', [CompletionResultType]::ParameterName, 'Store metadata with the object; repeatable')
            [CompletionResult]::new('--if-changed', '--if-changed', [CompletionResultType]::ParameterName, 'What to do if a file changes during its upload')
            [CompletionResult]::new('--jobs', '--jobs', [CompletionResultType]::ParameterName, 'Parts in flight over all files, 1 to 256, or auto [default: auto]')
            [CompletionResult]::new('--limit-rate', '--limit-rate', [CompletionResultType]::ParameterName, 'Limit the rate over all parts: 10MiB/s, 500KB/s, or none [env: UPLOAD_LIMIT_RATE] [default: none]')
            [CompletionResult]::new('--receipt', '--receipt', [CompletionResultType]::ParameterName, 'Write the receipts of completed uploads to this file, as JSON lines')
            [CompletionResult]::new('--give-up-after', '--give-up-after', [CompletionResultType]::ParameterName, 'Give up after this long without any confirmed byte [default: never at a terminal, otherwise 15m]')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'What to wait for after the backend has verified the object')
            [CompletionResult]::new('--wait-timeout', '--wait-timeout', [CompletionResultType]::ParameterName, 'How long --wait waits before it ends with exit code 75; a duration, or never')
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'Read the API token from this file [env: UPLOAD_TOKEN_FILE, or UPLOAD_TOKEN for the token itself]')
            [CompletionResult]::new('--header', '--header', [CompletionResultType]::ParameterName, 'Send this header with each call to the backend; repeatable')
            [CompletionResult]::new('--store-host', '--store-host', [CompletionResultType]::ParameterName, 'Permit signed URLs to name this store although its address is private or has changed; repeatable')
            [CompletionResult]::new('--ca-cert', '--ca-cert', [CompletionResultType]::ParameterName, 'Trust the certificates in this PEM file in addition to the system''s')
            [CompletionResult]::new('--proxy', '--proxy', [CompletionResultType]::ParameterName, 'Connect through this proxy (http, https, socks5, socks5h) [env: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY]')
            [CompletionResult]::new('--stall-after', '--stall-after', [CompletionResultType]::ParameterName, 'Reconnect if nothing moved on a connection for this long [default: 1m to 6m, depending on what is sent]')
            [CompletionResult]::new('--s3-endpoint', '--s3-endpoint', [CompletionResultType]::ParameterName, 'The endpoint of the S3 service [default: Amazon''s for the region]')
            [CompletionResult]::new('--s3-region', '--s3-region', [CompletionResultType]::ParameterName, 'The region of the bucket [env: AWS_REGION] [default: that of the AWS configuration, else us-east-1]')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'How to show progress [default: auto]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Upload a new object even if the same file version is already uploaded')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Show what would be sent (files, parts, bytes, and what is already stored), and send nothing')
            [CompletionResult]::new('--allow-insecure-http', '--allow-insecure-http', [CompletionResultType]::ParameterName, 'Permit http:// backends and stores that are not on this machine')
            [CompletionResult]::new('--s3-path-style', '--s3-path-style', [CompletionResultType]::ParameterName, 'Put the name of the bucket into the path of URLs instead of the host')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON lines on standard output, and nothing else there')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'upload;resume' {
            [CompletionResult]::new('--backend', '--backend', [CompletionResultType]::ParameterName, 'Continue uploads to this backend only [default: uploads to any backend]')
            [CompletionResult]::new('--jobs', '--jobs', [CompletionResultType]::ParameterName, 'Parts in flight over all files, 1 to 256, or auto [default: auto]')
            [CompletionResult]::new('--limit-rate', '--limit-rate', [CompletionResultType]::ParameterName, 'Limit the rate over all parts: 10MiB/s, 500KB/s, or none [env: UPLOAD_LIMIT_RATE] [default: none]')
            [CompletionResult]::new('--receipt', '--receipt', [CompletionResultType]::ParameterName, 'Write the receipts of completed uploads to this file, as JSON lines')
            [CompletionResult]::new('--give-up-after', '--give-up-after', [CompletionResultType]::ParameterName, 'Give up after this long without any confirmed byte [default: never at a terminal, otherwise 15m]')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'What to wait for after the backend has verified the object')
            [CompletionResult]::new('--wait-timeout', '--wait-timeout', [CompletionResultType]::ParameterName, 'How long --wait waits before it ends with exit code 75; a duration, or never')
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'Read the API token from this file [env: UPLOAD_TOKEN_FILE, or UPLOAD_TOKEN for the token itself]')
            [CompletionResult]::new('--header', '--header', [CompletionResultType]::ParameterName, 'Send this header with each call to the backend; repeatable')
            [CompletionResult]::new('--store-host', '--store-host', [CompletionResultType]::ParameterName, 'Permit signed URLs to name this store although its address is private or has changed; repeatable')
            [CompletionResult]::new('--ca-cert', '--ca-cert', [CompletionResultType]::ParameterName, 'Trust the certificates in this PEM file in addition to the system''s')
            [CompletionResult]::new('--proxy', '--proxy', [CompletionResultType]::ParameterName, 'Connect through this proxy (http, https, socks5, socks5h) [env: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY]')
            [CompletionResult]::new('--stall-after', '--stall-after', [CompletionResultType]::ParameterName, 'Reconnect if nothing moved on a connection for this long [default: 1m to 6m, depending on what is sent]')
            [CompletionResult]::new('--s3-endpoint', '--s3-endpoint', [CompletionResultType]::ParameterName, 'The endpoint of the S3 service [default: Amazon''s for the region]')
            [CompletionResult]::new('--s3-region', '--s3-region', [CompletionResultType]::ParameterName, 'The region of the bucket [env: AWS_REGION] [default: that of the AWS configuration, else us-east-1]')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'How to show progress [default: auto]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]')
            [CompletionResult]::new('--allow-insecure-http', '--allow-insecure-http', [CompletionResultType]::ParameterName, 'Permit http:// backends and stores that are not on this machine')
            [CompletionResult]::new('--s3-path-style', '--s3-path-style', [CompletionResultType]::ParameterName, 'Put the name of the bucket into the path of URLs instead of the host')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON lines on standard output, and nothing else there')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'upload;list' {
            [CompletionResult]::new('--backend', '--backend', [CompletionResultType]::ParameterName, 'The backend for --orphans [env: UPLOAD_BACKEND]')
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'Read the API token from this file [env: UPLOAD_TOKEN_FILE, or UPLOAD_TOKEN for the token itself]')
            [CompletionResult]::new('--header', '--header', [CompletionResultType]::ParameterName, 'Send this header with each call to the backend; repeatable')
            [CompletionResult]::new('--store-host', '--store-host', [CompletionResultType]::ParameterName, 'Permit signed URLs to name this store although its address is private or has changed; repeatable')
            [CompletionResult]::new('--ca-cert', '--ca-cert', [CompletionResultType]::ParameterName, 'Trust the certificates in this PEM file in addition to the system''s')
            [CompletionResult]::new('--proxy', '--proxy', [CompletionResultType]::ParameterName, 'Connect through this proxy (http, https, socks5, socks5h) [env: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY]')
            [CompletionResult]::new('--stall-after', '--stall-after', [CompletionResultType]::ParameterName, 'Reconnect if nothing moved on a connection for this long [default: 1m to 6m, depending on what is sent]')
            [CompletionResult]::new('--s3-endpoint', '--s3-endpoint', [CompletionResultType]::ParameterName, 'The endpoint of the S3 service [default: Amazon''s for the region]')
            [CompletionResult]::new('--s3-region', '--s3-region', [CompletionResultType]::ParameterName, 'The region of the bucket [env: AWS_REGION] [default: that of the AWS configuration, else us-east-1]')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'How to show progress [default: auto]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'List finished uploads too')
            [CompletionResult]::new('--orphans', '--orphans', [CompletionResultType]::ParameterName, 'List orphans too: uploads that the backend has in progress and the journal does not know')
            [CompletionResult]::new('--allow-insecure-http', '--allow-insecure-http', [CompletionResultType]::ParameterName, 'Permit http:// backends and stores that are not on this machine')
            [CompletionResult]::new('--s3-path-style', '--s3-path-style', [CompletionResultType]::ParameterName, 'Put the name of the bucket into the path of URLs instead of the host')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON lines on standard output, and nothing else there')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'upload;status' {
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'Read the API token from this file [env: UPLOAD_TOKEN_FILE, or UPLOAD_TOKEN for the token itself]')
            [CompletionResult]::new('--header', '--header', [CompletionResultType]::ParameterName, 'Send this header with each call to the backend; repeatable')
            [CompletionResult]::new('--store-host', '--store-host', [CompletionResultType]::ParameterName, 'Permit signed URLs to name this store although its address is private or has changed; repeatable')
            [CompletionResult]::new('--ca-cert', '--ca-cert', [CompletionResultType]::ParameterName, 'Trust the certificates in this PEM file in addition to the system''s')
            [CompletionResult]::new('--proxy', '--proxy', [CompletionResultType]::ParameterName, 'Connect through this proxy (http, https, socks5, socks5h) [env: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY]')
            [CompletionResult]::new('--stall-after', '--stall-after', [CompletionResultType]::ParameterName, 'Reconnect if nothing moved on a connection for this long [default: 1m to 6m, depending on what is sent]')
            [CompletionResult]::new('--s3-endpoint', '--s3-endpoint', [CompletionResultType]::ParameterName, 'The endpoint of the S3 service [default: Amazon''s for the region]')
            [CompletionResult]::new('--s3-region', '--s3-region', [CompletionResultType]::ParameterName, 'The region of the bucket [env: AWS_REGION] [default: that of the AWS configuration, else us-east-1]')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'How to show progress [default: auto]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]')
            [CompletionResult]::new('--remote', '--remote', [CompletionResultType]::ParameterName, 'Ask the backend for its view of the upload')
            [CompletionResult]::new('--allow-insecure-http', '--allow-insecure-http', [CompletionResultType]::ParameterName, 'Permit http:// backends and stores that are not on this machine')
            [CompletionResult]::new('--s3-path-style', '--s3-path-style', [CompletionResultType]::ParameterName, 'Put the name of the bucket into the path of URLs instead of the host')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON lines on standard output, and nothing else there')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'upload;abort' {
            [CompletionResult]::new('--backend', '--backend', [CompletionResultType]::ParameterName, 'The backend of uploads that the journal does not know [env: UPLOAD_BACKEND]')
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'Read the API token from this file [env: UPLOAD_TOKEN_FILE, or UPLOAD_TOKEN for the token itself]')
            [CompletionResult]::new('--header', '--header', [CompletionResultType]::ParameterName, 'Send this header with each call to the backend; repeatable')
            [CompletionResult]::new('--store-host', '--store-host', [CompletionResultType]::ParameterName, 'Permit signed URLs to name this store although its address is private or has changed; repeatable')
            [CompletionResult]::new('--ca-cert', '--ca-cert', [CompletionResultType]::ParameterName, 'Trust the certificates in this PEM file in addition to the system''s')
            [CompletionResult]::new('--proxy', '--proxy', [CompletionResultType]::ParameterName, 'Connect through this proxy (http, https, socks5, socks5h) [env: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY]')
            [CompletionResult]::new('--stall-after', '--stall-after', [CompletionResultType]::ParameterName, 'Reconnect if nothing moved on a connection for this long [default: 1m to 6m, depending on what is sent]')
            [CompletionResult]::new('--s3-endpoint', '--s3-endpoint', [CompletionResultType]::ParameterName, 'The endpoint of the S3 service [default: Amazon''s for the region]')
            [CompletionResult]::new('--s3-region', '--s3-region', [CompletionResultType]::ParameterName, 'The region of the bucket [env: AWS_REGION] [default: that of the AWS configuration, else us-east-1]')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'How to show progress [default: auto]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]')
            [CompletionResult]::new('--allow-insecure-http', '--allow-insecure-http', [CompletionResultType]::ParameterName, 'Permit http:// backends and stores that are not on this machine')
            [CompletionResult]::new('--s3-path-style', '--s3-path-style', [CompletionResultType]::ParameterName, 'Put the name of the bucket into the path of URLs instead of the host')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON lines on standard output, and nothing else there')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'upload;prune' {
            [CompletionResult]::new('--older-than', '--older-than', [CompletionResultType]::ParameterName, 'Keep uploads that finished less than this long ago, such as 30d [default: keep none]')
            [CompletionResult]::new('--backend', '--backend', [CompletionResultType]::ParameterName, 'The backend whose orphans are listed; without a backend, none are [env: UPLOAD_BACKEND]')
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'Read the API token from this file [env: UPLOAD_TOKEN_FILE, or UPLOAD_TOKEN for the token itself]')
            [CompletionResult]::new('--header', '--header', [CompletionResultType]::ParameterName, 'Send this header with each call to the backend; repeatable')
            [CompletionResult]::new('--store-host', '--store-host', [CompletionResultType]::ParameterName, 'Permit signed URLs to name this store although its address is private or has changed; repeatable')
            [CompletionResult]::new('--ca-cert', '--ca-cert', [CompletionResultType]::ParameterName, 'Trust the certificates in this PEM file in addition to the system''s')
            [CompletionResult]::new('--proxy', '--proxy', [CompletionResultType]::ParameterName, 'Connect through this proxy (http, https, socks5, socks5h) [env: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY]')
            [CompletionResult]::new('--stall-after', '--stall-after', [CompletionResultType]::ParameterName, 'Reconnect if nothing moved on a connection for this long [default: 1m to 6m, depending on what is sent]')
            [CompletionResult]::new('--s3-endpoint', '--s3-endpoint', [CompletionResultType]::ParameterName, 'The endpoint of the S3 service [default: Amazon''s for the region]')
            [CompletionResult]::new('--s3-region', '--s3-region', [CompletionResultType]::ParameterName, 'The region of the bucket [env: AWS_REGION] [default: that of the AWS configuration, else us-east-1]')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'How to show progress [default: auto]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]')
            [CompletionResult]::new('--allow-insecure-http', '--allow-insecure-http', [CompletionResultType]::ParameterName, 'Permit http:// backends and stores that are not on this machine')
            [CompletionResult]::new('--s3-path-style', '--s3-path-style', [CompletionResultType]::ParameterName, 'Put the name of the bucket into the path of URLs instead of the host')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON lines on standard output, and nothing else there')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'upload;cat' {
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'Read the API token from this file [env: UPLOAD_TOKEN_FILE, or UPLOAD_TOKEN for the token itself]')
            [CompletionResult]::new('--header', '--header', [CompletionResultType]::ParameterName, 'Send this header with each call to the backend; repeatable')
            [CompletionResult]::new('--store-host', '--store-host', [CompletionResultType]::ParameterName, 'Permit signed URLs to name this store although its address is private or has changed; repeatable')
            [CompletionResult]::new('--ca-cert', '--ca-cert', [CompletionResultType]::ParameterName, 'Trust the certificates in this PEM file in addition to the system''s')
            [CompletionResult]::new('--proxy', '--proxy', [CompletionResultType]::ParameterName, 'Connect through this proxy (http, https, socks5, socks5h) [env: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY]')
            [CompletionResult]::new('--stall-after', '--stall-after', [CompletionResultType]::ParameterName, 'Reconnect if nothing moved on a connection for this long [default: 1m to 6m, depending on what is sent]')
            [CompletionResult]::new('--s3-endpoint', '--s3-endpoint', [CompletionResultType]::ParameterName, 'The endpoint of the S3 service [default: Amazon''s for the region]')
            [CompletionResult]::new('--s3-region', '--s3-region', [CompletionResultType]::ParameterName, 'The region of the bucket [env: AWS_REGION] [default: that of the AWS configuration, else us-east-1]')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'How to show progress [default: auto]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]')
            [CompletionResult]::new('--allow-insecure-http', '--allow-insecure-http', [CompletionResultType]::ParameterName, 'Permit http:// backends and stores that are not on this machine')
            [CompletionResult]::new('--s3-path-style', '--s3-path-style', [CompletionResultType]::ParameterName, 'Put the name of the bucket into the path of URLs instead of the host')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON lines on standard output, and nothing else there')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'upload;url' {
            [CompletionResult]::new('--backend', '--backend', [CompletionResultType]::ParameterName, 'Ask this gateway instead of the backend of the upload')
            [CompletionResult]::new('--expires', '--expires', [CompletionResultType]::ParameterName, 'How long the URL is valid, such as 15m or 7d [default: chosen by the backend]')
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'Read the API token from this file [env: UPLOAD_TOKEN_FILE, or UPLOAD_TOKEN for the token itself]')
            [CompletionResult]::new('--header', '--header', [CompletionResultType]::ParameterName, 'Send this header with each call to the backend; repeatable')
            [CompletionResult]::new('--store-host', '--store-host', [CompletionResultType]::ParameterName, 'Permit signed URLs to name this store although its address is private or has changed; repeatable')
            [CompletionResult]::new('--ca-cert', '--ca-cert', [CompletionResultType]::ParameterName, 'Trust the certificates in this PEM file in addition to the system''s')
            [CompletionResult]::new('--proxy', '--proxy', [CompletionResultType]::ParameterName, 'Connect through this proxy (http, https, socks5, socks5h) [env: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY]')
            [CompletionResult]::new('--stall-after', '--stall-after', [CompletionResultType]::ParameterName, 'Reconnect if nothing moved on a connection for this long [default: 1m to 6m, depending on what is sent]')
            [CompletionResult]::new('--s3-endpoint', '--s3-endpoint', [CompletionResultType]::ParameterName, 'The endpoint of the S3 service [default: Amazon''s for the region]')
            [CompletionResult]::new('--s3-region', '--s3-region', [CompletionResultType]::ParameterName, 'The region of the bucket [env: AWS_REGION] [default: that of the AWS configuration, else us-east-1]')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'How to show progress [default: auto]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]')
            [CompletionResult]::new('--allow-insecure-http', '--allow-insecure-http', [CompletionResultType]::ParameterName, 'Permit http:// backends and stores that are not on this machine')
            [CompletionResult]::new('--s3-path-style', '--s3-path-style', [CompletionResultType]::ParameterName, 'Put the name of the bucket into the path of URLs instead of the host')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON lines on standard output, and nothing else there')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'upload;config' {
            [CompletionResult]::new('--backend', '--backend', [CompletionResultType]::ParameterName, 'As for put [env: UPLOAD_BACKEND]')
            [CompletionResult]::new('--part-size', '--part-size', [CompletionResultType]::ParameterName, 'As for put')
            [CompletionResult]::new('--jobs', '--jobs', [CompletionResultType]::ParameterName, 'As for put [default: auto]')
            [CompletionResult]::new('--limit-rate', '--limit-rate', [CompletionResultType]::ParameterName, 'As for put [env: UPLOAD_LIMIT_RATE] [default: none]')
            [CompletionResult]::new('--give-up-after', '--give-up-after', [CompletionResultType]::ParameterName, 'As for put [default: never at a terminal, otherwise 15m]')
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'Read the API token from this file [env: UPLOAD_TOKEN_FILE, or UPLOAD_TOKEN for the token itself]')
            [CompletionResult]::new('--header', '--header', [CompletionResultType]::ParameterName, 'Send this header with each call to the backend; repeatable')
            [CompletionResult]::new('--store-host', '--store-host', [CompletionResultType]::ParameterName, 'Permit signed URLs to name this store although its address is private or has changed; repeatable')
            [CompletionResult]::new('--ca-cert', '--ca-cert', [CompletionResultType]::ParameterName, 'Trust the certificates in this PEM file in addition to the system''s')
            [CompletionResult]::new('--proxy', '--proxy', [CompletionResultType]::ParameterName, 'Connect through this proxy (http, https, socks5, socks5h) [env: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY]')
            [CompletionResult]::new('--stall-after', '--stall-after', [CompletionResultType]::ParameterName, 'Reconnect if nothing moved on a connection for this long [default: 1m to 6m, depending on what is sent]')
            [CompletionResult]::new('--s3-endpoint', '--s3-endpoint', [CompletionResultType]::ParameterName, 'The endpoint of the S3 service [default: Amazon''s for the region]')
            [CompletionResult]::new('--s3-region', '--s3-region', [CompletionResultType]::ParameterName, 'The region of the bucket [env: AWS_REGION] [default: that of the AWS configuration, else us-east-1]')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'How to show progress [default: auto]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]')
            [CompletionResult]::new('--allow-insecure-http', '--allow-insecure-http', [CompletionResultType]::ParameterName, 'Permit http:// backends and stores that are not on this machine')
            [CompletionResult]::new('--s3-path-style', '--s3-path-style', [CompletionResultType]::ParameterName, 'Put the name of the bucket into the path of URLs instead of the host')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON lines on standard output, and nothing else there')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'upload;serve' {
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'The address to listen on; port 0 takes a free one, which is printed on standard error')
            [CompletionResult]::new('--public-url', '--public-url', [CompletionResultType]::ParameterName, 'The base of the URLs that clients get; terminate TLS at a reverse proxy [default: the address listened on]')
            [CompletionResult]::new('--metrics-listen', '--metrics-listen', [CompletionResultType]::ParameterName, 'Serve metrics (Prometheus), health and readiness on this address, without authentication [default: not served]')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'The store: embedded, embedded:DIR, or s3://BUCKET/PREFIX with the usual AWS credentials')
            [CompletionResult]::new('--ledger', '--ledger', [CompletionResultType]::ParameterName, 'The ledger: sqlite, sqlite:FILE or postgres://USER@HOST/DATABASE [env: UPLOAD_LEDGER] [default: sqlite, gateway.db in the state directory]')
            [CompletionResult]::new('--store-credentials', '--store-credentials', [CompletionResultType]::ParameterName, 'Write the endpoint and the keys of the embedded store to this file (mode 0600), for other S3 clients')
            [CompletionResult]::new('--allow-type', '--allow-type', [CompletionResultType]::ParameterName, 'An accepted content type, as a glob; repeatable')
            [CompletionResult]::new('--max-size', '--max-size', [CompletionResultType]::ParameterName, 'The largest accepted upload, such as 50GiB [default: the limit of the store]')
            [CompletionResult]::new('--url-ttl', '--url-ttl', [CompletionResultType]::ParameterName, 'How long a signed URL is valid at least; URLs of large parts are valid longer')
            [CompletionResult]::new('--upload-ttl', '--upload-ttl', [CompletionResultType]::ParameterName, 'How long an unfinished upload is kept after the last call about it')
            [CompletionResult]::new('--lease', '--lease', [CompletionResultType]::ParameterName, 'How long a client may be silent before another may take its upload over; clients call every 20s')
            [CompletionResult]::new('--sweep-every', '--sweep-every', [CompletionResultType]::ParameterName, 'How often to end abandoned uploads (expired ones and unfinished completes); never leaves that to other gateways')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Receive events from the store: sqs:QUEUE_URL, or webhook (POST /v1/events/s3) [default: no events]')
            [CompletionResult]::new('--events-secret-file', '--events-secret-file', [CompletionResultType]::ParameterName, 'The secret that the webhook of --events must send: one line of visible ASCII')
            [CompletionResult]::new('--companion', '--companion', [CompletionResultType]::ParameterName, 'Serve the upload routes of Uppy Companion below this path, / or /companion [default: not served]')
            [CompletionResult]::new('--allow-origin', '--allow-origin', [CompletionResultType]::ParameterName, 'Let pages of this origin, such as https://app.example.com, call the gateway and its embedded store; repeatable')
            [CompletionResult]::new('--cdn', '--cdn', [CompletionResultType]::ParameterName, 'The base URL for reading objects, such as https://cdn.example.com [default: read URLs are presigned]')
            [CompletionResult]::new('--hook', '--hook', [CompletionResultType]::ParameterName, 'A check that each upload must pass before it is ready: a program or a webhook; repeatable, run in this order')
            [CompletionResult]::new('--hook-arg', '--hook-arg', [CompletionResultType]::ParameterName, 'One more argument for the program of the hook NAME; repeatable')
            [CompletionResult]::new('--hook-secret-file', '--hook-secret-file', [CompletionResultType]::ParameterName, 'Sign webhooks with the secret in this file, at least 16 characters; required for webhooks')
            [CompletionResult]::new('--hook-timeout', '--hook-timeout', [CompletionResultType]::ParameterName, 'How long a hook may take for one upload')
            [CompletionResult]::new('--on-reject', '--on-reject', [CompletionResultType]::ParameterName, 'What to do with an object that a hook rejects: delete, keep, or quarantine:PREFIX')
            [CompletionResult]::new('--sse', '--sse', [CompletionResultType]::ParameterName, 'Server-side encryption of new objects: AES256, aws:kms or aws:kms:KEY-ID [default: that of the bucket]')
            [CompletionResult]::new('--required-header', '--required-header', [CompletionResultType]::ParameterName, 'A header that the bucket requires when an object is created; repeatable')
            [CompletionResult]::new('--store-probe', '--store-probe', [CompletionResultType]::ParameterName, 'Whether to test at the start that the store rejects a wrong body and a wrong length')
            [CompletionResult]::new('--store-checksum', '--store-checksum', [CompletionResultType]::ParameterName, 'What the store must enforce on each part; receipts name it as their proof')
            [CompletionResult]::new('--drain', '--drain', [CompletionResultType]::ParameterName, 'After a signal to stop, keep serving for this long while /readyz answers 503 [default: stop at once]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'The format of the log on standard error; -v adds a line for each request')
            [CompletionResult]::new('--auth', '--auth', [CompletionResultType]::ParameterName, 'How clients authenticate; tokens,jwt accepts both [default: none on loopback; required on other addresses]')
            [CompletionResult]::new('--jwt-issuer', '--jwt-issuer', [CompletionResultType]::ParameterName, 'For --auth jwt: the issuer of accepted tokens (`iss`), such as https://token.actions.githubusercontent.com')
            [CompletionResult]::new('--jwt-audience', '--jwt-audience', [CompletionResultType]::ParameterName, 'For --auth jwt: the required audience (`aud`); choose a name that only this gateway uses')
            [CompletionResult]::new('--jwt-jwks', '--jwt-jwks', [CompletionResultType]::ParameterName, 'For --auth jwt: the URL of the issuer''s keys [default: from its /.well-known/openid-configuration]')
            [CompletionResult]::new('--jwt-algorithm', '--jwt-algorithm', [CompletionResultType]::ParameterName, 'For --auth jwt: the signature algorithm; tokens that name another are rejected')
            [CompletionResult]::new('--jwt-claim', '--jwt-claim', [CompletionResultType]::ParameterName, 'For --auth jwt: a claim that tokens must have, and a glob for its value; repeatable, required at least once')
            [CompletionResult]::new('--jwt-owner-claim', '--jwt-owner-claim', [CompletionResultType]::ParameterName, 'For --auth jwt: the claim that identifies the owner of uploads; for GitHub Actions repository_id, since sub differs by branch')
            [CompletionResult]::new('--rate', '--rate', [CompletionResultType]::ParameterName, 'Signed URLs per owner, such as 100/s or 100/s,burst=5000 [default: unlimited]')
            [CompletionResult]::new('--quota', '--quota', [CompletionResultType]::ParameterName, 'Limits per owner: open=1000 unfinished uploads, outstanding=1TiB in these, total=10TiB including ready uploads [default: unlimited]')
            [CompletionResult]::new('--s3-endpoint', '--s3-endpoint', [CompletionResultType]::ParameterName, 'The endpoint of the S3 service [default: Amazon''s for the region]')
            [CompletionResult]::new('--s3-region', '--s3-region', [CompletionResultType]::ParameterName, 'The region of the bucket [env: AWS_REGION] [default: that of the AWS configuration, else us-east-1]')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'How to show progress [default: auto]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]')
            [CompletionResult]::new('--check', '--check', [CompletionResultType]::ParameterName, 'Check flags and configuration file, open nothing, and exit')
            [CompletionResult]::new('--probe', '--probe', [CompletionResultType]::ParameterName, 'Test everything that the store may enforce, print the results and their consequences, and exit; sends about 11 MiB')
            [CompletionResult]::new('--s3-path-style', '--s3-path-style', [CompletionResultType]::ParameterName, 'Put the name of the bucket into the path of URLs instead of the host')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON lines on standard output, and nothing else there')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('token', 'token', [CompletionResultType]::ParameterValue, 'Make, list and revoke API tokens')
            [CompletionResult]::new('sweep', 'sweep', [CompletionResultType]::ParameterValue, 'Sweep once, print what was done, and exit; running gateways need not stop')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'upload;serve;token' {
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'How to show progress [default: auto]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON lines on standard output, and nothing else there')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('add', 'add', [CompletionResultType]::ParameterValue, 'Make a token and print it; it cannot be printed again')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List tokens: id, creation, validity, name')
            [CompletionResult]::new('revoke', 'revoke', [CompletionResultType]::ParameterValue, 'Revoke a token')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'upload;serve;token;add' {
            [CompletionResult]::new('--expires', '--expires', [CompletionResultType]::ParameterName, 'How long the token is valid, such as 90d [default: until it is revoked]')
            [CompletionResult]::new('--ledger', '--ledger', [CompletionResultType]::ParameterName, 'The ledger: sqlite, sqlite:FILE or postgres://USER@HOST/DATABASE [env: UPLOAD_LEDGER] [default: sqlite, gateway.db in the state directory]')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'How to show progress [default: auto]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON lines on standard output, and nothing else there')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'upload;serve;token;list' {
            [CompletionResult]::new('--ledger', '--ledger', [CompletionResultType]::ParameterName, 'The ledger: sqlite, sqlite:FILE or postgres://USER@HOST/DATABASE [env: UPLOAD_LEDGER] [default: sqlite, gateway.db in the state directory]')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'How to show progress [default: auto]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON lines on standard output, and nothing else there')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'upload;serve;token;revoke' {
            [CompletionResult]::new('--ledger', '--ledger', [CompletionResultType]::ParameterName, 'The ledger: sqlite, sqlite:FILE or postgres://USER@HOST/DATABASE [env: UPLOAD_LEDGER] [default: sqlite, gateway.db in the state directory]')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'How to show progress [default: auto]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON lines on standard output, and nothing else there')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'upload;serve;token;help' {
            [CompletionResult]::new('add', 'add', [CompletionResultType]::ParameterValue, 'Make a token and print it; it cannot be printed again')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List tokens: id, creation, validity, name')
            [CompletionResult]::new('revoke', 'revoke', [CompletionResultType]::ParameterValue, 'Revoke a token')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'upload;serve;token;help;add' {
            break
        }
        'upload;serve;token;help;list' {
            break
        }
        'upload;serve;token;help;revoke' {
            break
        }
        'upload;serve;token;help;help' {
            break
        }
        'upload;serve;sweep' {
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'The address to listen on; port 0 takes a free one, which is printed on standard error')
            [CompletionResult]::new('--public-url', '--public-url', [CompletionResultType]::ParameterName, 'The base of the URLs that clients get; terminate TLS at a reverse proxy [default: the address listened on]')
            [CompletionResult]::new('--metrics-listen', '--metrics-listen', [CompletionResultType]::ParameterName, 'Serve metrics (Prometheus), health and readiness on this address, without authentication [default: not served]')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'The store: embedded, embedded:DIR, or s3://BUCKET/PREFIX with the usual AWS credentials')
            [CompletionResult]::new('--ledger', '--ledger', [CompletionResultType]::ParameterName, 'The ledger: sqlite, sqlite:FILE or postgres://USER@HOST/DATABASE [env: UPLOAD_LEDGER] [default: sqlite, gateway.db in the state directory]')
            [CompletionResult]::new('--store-credentials', '--store-credentials', [CompletionResultType]::ParameterName, 'Write the endpoint and the keys of the embedded store to this file (mode 0600), for other S3 clients')
            [CompletionResult]::new('--allow-type', '--allow-type', [CompletionResultType]::ParameterName, 'An accepted content type, as a glob; repeatable')
            [CompletionResult]::new('--max-size', '--max-size', [CompletionResultType]::ParameterName, 'The largest accepted upload, such as 50GiB [default: the limit of the store]')
            [CompletionResult]::new('--url-ttl', '--url-ttl', [CompletionResultType]::ParameterName, 'How long a signed URL is valid at least; URLs of large parts are valid longer')
            [CompletionResult]::new('--upload-ttl', '--upload-ttl', [CompletionResultType]::ParameterName, 'How long an unfinished upload is kept after the last call about it')
            [CompletionResult]::new('--lease', '--lease', [CompletionResultType]::ParameterName, 'How long a client may be silent before another may take its upload over; clients call every 20s')
            [CompletionResult]::new('--sweep-every', '--sweep-every', [CompletionResultType]::ParameterName, 'How often to end abandoned uploads (expired ones and unfinished completes); never leaves that to other gateways')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Receive events from the store: sqs:QUEUE_URL, or webhook (POST /v1/events/s3) [default: no events]')
            [CompletionResult]::new('--events-secret-file', '--events-secret-file', [CompletionResultType]::ParameterName, 'The secret that the webhook of --events must send: one line of visible ASCII')
            [CompletionResult]::new('--companion', '--companion', [CompletionResultType]::ParameterName, 'Serve the upload routes of Uppy Companion below this path, / or /companion [default: not served]')
            [CompletionResult]::new('--allow-origin', '--allow-origin', [CompletionResultType]::ParameterName, 'Let pages of this origin, such as https://app.example.com, call the gateway and its embedded store; repeatable')
            [CompletionResult]::new('--cdn', '--cdn', [CompletionResultType]::ParameterName, 'The base URL for reading objects, such as https://cdn.example.com [default: read URLs are presigned]')
            [CompletionResult]::new('--hook', '--hook', [CompletionResultType]::ParameterName, 'A check that each upload must pass before it is ready: a program or a webhook; repeatable, run in this order')
            [CompletionResult]::new('--hook-arg', '--hook-arg', [CompletionResultType]::ParameterName, 'One more argument for the program of the hook NAME; repeatable')
            [CompletionResult]::new('--hook-secret-file', '--hook-secret-file', [CompletionResultType]::ParameterName, 'Sign webhooks with the secret in this file, at least 16 characters; required for webhooks')
            [CompletionResult]::new('--hook-timeout', '--hook-timeout', [CompletionResultType]::ParameterName, 'How long a hook may take for one upload')
            [CompletionResult]::new('--on-reject', '--on-reject', [CompletionResultType]::ParameterName, 'What to do with an object that a hook rejects: delete, keep, or quarantine:PREFIX')
            [CompletionResult]::new('--sse', '--sse', [CompletionResultType]::ParameterName, 'Server-side encryption of new objects: AES256, aws:kms or aws:kms:KEY-ID [default: that of the bucket]')
            [CompletionResult]::new('--required-header', '--required-header', [CompletionResultType]::ParameterName, 'A header that the bucket requires when an object is created; repeatable')
            [CompletionResult]::new('--store-probe', '--store-probe', [CompletionResultType]::ParameterName, 'Whether to test at the start that the store rejects a wrong body and a wrong length')
            [CompletionResult]::new('--store-checksum', '--store-checksum', [CompletionResultType]::ParameterName, 'What the store must enforce on each part; receipts name it as their proof')
            [CompletionResult]::new('--drain', '--drain', [CompletionResultType]::ParameterName, 'After a signal to stop, keep serving for this long while /readyz answers 503 [default: stop at once]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'The format of the log on standard error; -v adds a line for each request')
            [CompletionResult]::new('--auth', '--auth', [CompletionResultType]::ParameterName, 'How clients authenticate; tokens,jwt accepts both [default: none on loopback; required on other addresses]')
            [CompletionResult]::new('--jwt-issuer', '--jwt-issuer', [CompletionResultType]::ParameterName, 'For --auth jwt: the issuer of accepted tokens (`iss`), such as https://token.actions.githubusercontent.com')
            [CompletionResult]::new('--jwt-audience', '--jwt-audience', [CompletionResultType]::ParameterName, 'For --auth jwt: the required audience (`aud`); choose a name that only this gateway uses')
            [CompletionResult]::new('--jwt-jwks', '--jwt-jwks', [CompletionResultType]::ParameterName, 'For --auth jwt: the URL of the issuer''s keys [default: from its /.well-known/openid-configuration]')
            [CompletionResult]::new('--jwt-algorithm', '--jwt-algorithm', [CompletionResultType]::ParameterName, 'For --auth jwt: the signature algorithm; tokens that name another are rejected')
            [CompletionResult]::new('--jwt-claim', '--jwt-claim', [CompletionResultType]::ParameterName, 'For --auth jwt: a claim that tokens must have, and a glob for its value; repeatable, required at least once')
            [CompletionResult]::new('--jwt-owner-claim', '--jwt-owner-claim', [CompletionResultType]::ParameterName, 'For --auth jwt: the claim that identifies the owner of uploads; for GitHub Actions repository_id, since sub differs by branch')
            [CompletionResult]::new('--rate', '--rate', [CompletionResultType]::ParameterName, 'Signed URLs per owner, such as 100/s or 100/s,burst=5000 [default: unlimited]')
            [CompletionResult]::new('--quota', '--quota', [CompletionResultType]::ParameterName, 'Limits per owner: open=1000 unfinished uploads, outstanding=1TiB in these, total=10TiB including ready uploads [default: unlimited]')
            [CompletionResult]::new('--s3-endpoint', '--s3-endpoint', [CompletionResultType]::ParameterName, 'The endpoint of the S3 service [default: Amazon''s for the region]')
            [CompletionResult]::new('--s3-region', '--s3-region', [CompletionResultType]::ParameterName, 'The region of the bucket [env: AWS_REGION] [default: that of the AWS configuration, else us-east-1]')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'How to show progress [default: auto]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print what would be done, and change nothing')
            [CompletionResult]::new('--check', '--check', [CompletionResultType]::ParameterName, 'Check flags and configuration file, open nothing, and exit')
            [CompletionResult]::new('--probe', '--probe', [CompletionResultType]::ParameterName, 'Test everything that the store may enforce, print the results and their consequences, and exit; sends about 11 MiB')
            [CompletionResult]::new('--s3-path-style', '--s3-path-style', [CompletionResultType]::ParameterName, 'Put the name of the bucket into the path of URLs instead of the host')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON lines on standard output, and nothing else there')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'upload;serve;help' {
            [CompletionResult]::new('token', 'token', [CompletionResultType]::ParameterValue, 'Make, list and revoke API tokens')
            [CompletionResult]::new('sweep', 'sweep', [CompletionResultType]::ParameterValue, 'Sweep once, print what was done, and exit; running gateways need not stop')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'upload;serve;help;token' {
            [CompletionResult]::new('add', 'add', [CompletionResultType]::ParameterValue, 'Make a token and print it; it cannot be printed again')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List tokens: id, creation, validity, name')
            [CompletionResult]::new('revoke', 'revoke', [CompletionResultType]::ParameterValue, 'Revoke a token')
            break
        }
        'upload;serve;help;token;add' {
            break
        }
        'upload;serve;help;token;list' {
            break
        }
        'upload;serve;help;token;revoke' {
            break
        }
        'upload;serve;help;sweep' {
            break
        }
        'upload;serve;help;help' {
            break
        }
        'upload;completions' {
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'How to show progress [default: auto]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON lines on standard output, and nothing else there')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'upload;man' {
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'Write every page into this directory instead')
            [CompletionResult]::new('--journal', '--journal', [CompletionResultType]::ParameterName, 'The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]')
            [CompletionResult]::new('--progress', '--progress', [CompletionResultType]::ParameterName, 'How to show progress [default: auto]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file, in TOML [default: config.toml in the configuration directory; for serve, serve.toml]')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Let the table [profile.NAME] of the configuration file override its top level [env: UPLOAD_PROFILE]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON lines on standard output, and nothing else there')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Show errors only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Show more detail on standard error; repeat for more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'upload;help' {
            [CompletionResult]::new('put', 'put', [CompletionResultType]::ParameterValue, 'Upload files; continues an unfinished upload of the same file to the same backend')
            [CompletionResult]::new('resume', 'resume', [CompletionResultType]::ParameterValue, 'Continue unfinished uploads: the named ones, or all')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List the unfinished uploads in the journal')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Show one upload with its parts')
            [CompletionResult]::new('abort', 'abort', [CompletionResultType]::ParameterValue, 'Abort uploads: removes their parts from the store')
            [CompletionResult]::new('prune', 'prune', [CompletionResultType]::ParameterValue, 'Remove finished uploads from the journal, and list orphans')
            [CompletionResult]::new('cat', 'cat', [CompletionResultType]::ParameterValue, 'Write an uploaded object to standard output, and verify it')
            [CompletionResult]::new('url', 'url', [CompletionResultType]::ParameterValue, 'Print a URL for reading an uploaded object')
            [CompletionResult]::new('config', 'config', [CompletionResultType]::ParameterValue, 'Print the effective settings and their origins')
            [CompletionResult]::new('serve', 'serve', [CompletionResultType]::ParameterValue, 'Run a gateway, which signs uploads for clients without storage credentials')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print a completion script for a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Print a man page, or write all of them to a directory')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'upload;help;put' {
            break
        }
        'upload;help;resume' {
            break
        }
        'upload;help;list' {
            break
        }
        'upload;help;status' {
            break
        }
        'upload;help;abort' {
            break
        }
        'upload;help;prune' {
            break
        }
        'upload;help;cat' {
            break
        }
        'upload;help;url' {
            break
        }
        'upload;help;config' {
            break
        }
        'upload;help;serve' {
            [CompletionResult]::new('token', 'token', [CompletionResultType]::ParameterValue, 'Make, list and revoke API tokens')
            [CompletionResult]::new('sweep', 'sweep', [CompletionResultType]::ParameterValue, 'Sweep once, print what was done, and exit; running gateways need not stop')
            break
        }
        'upload;help;serve;token' {
            [CompletionResult]::new('add', 'add', [CompletionResultType]::ParameterValue, 'Make a token and print it; it cannot be printed again')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List tokens: id, creation, validity, name')
            [CompletionResult]::new('revoke', 'revoke', [CompletionResultType]::ParameterValue, 'Revoke a token')
            break
        }
        'upload;help;serve;token;add' {
            break
        }
        'upload;help;serve;token;list' {
            break
        }
        'upload;help;serve;token;revoke' {
            break
        }
        'upload;help;serve;sweep' {
            break
        }
        'upload;help;completions' {
            break
        }
        'upload;help;man' {
            break
        }
        'upload;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
