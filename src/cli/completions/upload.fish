complete -c upload -n "__fish_upload_using_subcommand status cat url rm" -k -a "(upload list --ids --all 2>/dev/null)"
complete -c upload -n "__fish_upload_using_subcommand resume abort" -k -a "(upload list --ids 2>/dev/null)"
complete -c upload -n "__fish_upload_using_subcommand put resume list abort rm prune url config" -l backend -x -a "embedded\t'A store on this machine'
https://\t'A gateway'
companion+https://\t'An Uppy Companion'
s3://\t'An S3 bucket'"
