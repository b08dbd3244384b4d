//! Checks a directory: another user must not be able to replace the files in it by other files or
//! links.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::geteuid;
use upload_types::error::{Error, Kind, Result};

/// Permission of others to write.
const OTHERS_WRITE: u32 = 0o002;
const GROUP_WRITE: u32 = 0o020;

/// Checks a directory or, if it does not exist, the nearest existing one above it. `noun` names the
/// files in it: "the journal"; `hint` is the instruction for a user without a suitable directory.
///
/// # Errors
/// [`Kind::DatabaseUnusable`] if the directory itself is a symbolic link, except one that root made
/// for another user, or if every user or the members of a shared group may write to it; and if the
/// checked directory belongs neither to the effective user nor to root. The last rule also keeps
/// `sudo` from writing to files of a user.
///
/// The sticky bit makes no difference: it protects existing files, and SQLite reads files that
/// another user has created beside the database. The owner of a directory further above can move
/// the checked one away, but cannot put one of the effective user in its place.
pub fn check_directory(directory: &Path, noun: &str, hint: &str) -> Result<()> {
    for (levels_above, directory) in directory.ancestors().enumerate() {
        let directory = if directory.as_os_str().is_empty() {
            Path::new(".")
        } else {
            directory
        };
        let reject = |reason: &str| {
            let what = format!("could not use {} for {noun}: {reason}", directory.display());
            Err(Error::new(Kind::DatabaseUnusable, what).with_hint(hint))
        };
        let Ok(metadata) = fs::symlink_metadata(directory) else {
            continue;
        };
        let is_own = levels_above == 0;
        // Root makes such links for a service: systemd does with `DynamicUser=`.
        let is_of_root = metadata.uid() == 0 && !geteuid().is_root();
        if metadata.is_symlink() && is_own && !is_of_root {
            return reject("it is a symbolic link");
        }
        // Links above the directory are followed: they are the user's choice.
        let Ok(metadata) = fs::metadata(directory) else {
            return Ok(());
        };
        if metadata.uid() != geteuid().as_raw() && metadata.uid() != 0 {
            return reject("it belongs to another user");
        }
        // A directory above may be writable by all users, as volumes of containers are: the files
        // get a new directory in it, which only this user can use.
        if metadata.mode() & OTHERS_WRITE != 0 && is_own {
            return reject("every user may write to it");
        }
        if metadata.mode() & GROUP_WRITE != 0 && is_own && is_shared(metadata.gid()) {
            return reject("the other members of its group may write to it");
        }
        return Ok(());
    }
    Ok(())
}

/// The directory of a file.
#[must_use]
pub fn directory_of(file: &Path) -> &Path {
    file.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Whether a group may have other members than the effective user. Many systems give each user a
/// group of their own, often with the same number, and let the group write by default.
fn is_shared(group: u32) -> bool {
    let user = geteuid().as_raw();
    let text = |path| fs::read_to_string(path).unwrap_or_default();
    group != user && !is_private(group, user, &text("/etc/group"), &text("/etc/passwd"))
}

/// Whether the group exists in `groups` and has no other member, in the format of `/etc/group` and
/// `/etc/passwd`.
fn is_private(group: u32, user: u32, groups: &str, users: &str) -> bool {
    let fields = |line: &'_ str| -> Vec<String> { line.split(':').map(str::to_owned).collect() };
    let users: Vec<_> = users.lines().map(fields).collect();
    let has_number = |fields: &[String], at: usize, number: u32| {
        fields
            .get(at)
            .is_some_and(|text| *text == number.to_string())
    };
    let own_names: Vec<&String> = users
        .iter()
        .filter(|fields| has_number(fields, 2, user))
        .filter_map(|fields| fields.first())
        .collect();
    let is_primary_of_another = users
        .iter()
        .any(|fields| has_number(fields, 3, group) && !has_number(fields, 2, user));
    let members = groups
        .lines()
        .map(fields)
        .find(|fields| has_number(fields, 2, group))
        .map(|fields| fields.get(3).cloned().unwrap_or_default());
    members.is_some_and(|members| {
        let mut members = members.split(',').filter(|name| !name.trim().is_empty());
        !is_primary_of_another && members.all(|name| own_names.iter().any(|own| *own == name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_is_private_if_no_other_user_is_in_it() {
        let users = "root:x:0:0::/:/bin/sh\nme:x:1001:1002::/:/bin/sh\n\
                     you:x:1003:100::/:/bin/sh\n";
        let groups = "me:x:1002:\nusers:x:100:\nteam:x:50:me,you\nmine:x:51:me\n";
        let is_private = |group| is_private(group, 1001, groups, users);
        assert!(is_private(1002) && is_private(51));
        assert!(!is_private(50), "a member");
        assert!(!is_private(100), "the group of another user");
        assert!(!is_private(7), "not in the file");
    }
}
