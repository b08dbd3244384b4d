//! From a gateway's configuration to what store and operations are told: checks made before anything is opened, and the
//! file other S3 clients read.
//!
//! Border: pure but for writing that one file; opening and listening is `gateway` itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use url::Url;
use uuid::Uuid;

use super::{Auth, Config, Issuer, Probe, StoreConfig, cors, rules};
use crate::metrics::metrics;
use std::time::Duration;
use upload_embedded_store as embedded;
use upload_net::AddressClass;
use upload_s3::{CallOutcome, Capability, Profile, Settings, Support};
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::Proof;

/// Checks what can be checked without opening anything.
///
/// # Errors
/// [`Kind::Config`] for settings that cannot be.
pub fn check(config: &Config) -> Result<()> {
    if matches!(config.auth, Auth::None) {
        if !AddressClass::of_ip(config.listen.ip()).is_loopback() {
            let listen = config.listen;
            return Err(Error::new(
                Kind::Config,
                format!("without authentication {listen} cannot be listened on"),
            )
            .with_hint("use --auth tokens, or listen on 127.0.0.1"));
        }
        // What stands in front of it comes from loopback, whoever asked.
        if config
            .public_url
            .as_ref()
            .is_some_and(|url| !AddressClass::of_url(url).is_loopback())
        {
            return Err(Error::new(
                Kind::Config,
                "without authentication the gateway cannot have a public URL",
            )
            .with_hint("use --auth tokens, or leave --public-url out"));
        }
    }
    if let Auth::Jwt { issuers, .. } = &config.auth {
        issuers.iter().try_for_each(Issuer::check)?;
    }
    let enforces_unknown = config.probe == Probe::Off && config.checksum.is_none();
    if enforces_unknown && !matches!(config.store, StoreConfig::Embedded { .. }) {
        return Err(Error::new(
            Kind::Config,
            "what the store enforces is not known without a probe",
        )
        .with_hint("say it with --store-checksum, or leave --store-probe at require"));
    }
    if let Some(text) = config
        .allow_origins
        .iter()
        .find(|text| cors::origin(text).is_none())
    {
        return Err(Error::new(Kind::Config, format!("{text:?} is not the origin of a page"))
            .with_hint("it is scheme://host[:port], without a path; each one is named with its own --allow-origin"));
    }
    if let Some(path) = config.companion.as_ref().filter(|path| !is_root(path)) {
        return Err(Error::new(Kind::Config, format!("Companion's routes cannot be beneath {path:?}")).with_hint(
            "it is / or a path such as /companion, of letters, digits and -._~, and not one of the API's own",
        ));
    }
    if let Some(glob) = config
        .allow_types
        .iter()
        .find(|glob| !rules::is_type_glob(glob))
    {
        return Err(Error::new(
            Kind::Config,
            format!("{glob:?} is not type/subtype, type/* or */*"),
        )
        .with_hint("name each allowed content type with its own --allow-type"));
    }
    for (what, url) in [
        ("public URL", &config.public_url),
        ("URL of the CDN", &config.cdn),
    ] {
        let Some(url) = url else { continue };
        let plain = matches!(url.scheme(), "http" | "https")
            && url.host().is_some()
            && url.query().is_none();
        if !plain
            || url.fragment().is_some()
            || !url.username().is_empty()
            || url.password().is_some()
        {
            return Err(Error::new(
                Kind::Config,
                format!("the {what} must be http(s)://host[:port][/path]"),
            ));
        }
    }
    create_headers(config).map(drop)
}

/// Records a control call to the store.
fn observe_call(operation: &'static str, outcome: CallOutcome, took: Duration) {
    metrics().called(operation, outcome, took);
}

/// Whether other routes can be beneath a path.
fn is_root(path: &str) -> bool {
    if path == "/" {
        return true;
    }
    let Some(rest) = path.strip_prefix('/') else {
        return false;
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let plain = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
    };
    let first = rest.split('/').next().unwrap_or_default();
    let ours = [
        "v1",
        "healthz",
        "readyz",
        "openapi.json",
        "metrics",
        embedded::BUCKET,
    ]
    .contains(&first);
    rest.split('/').all(plain) && !ours
}

/// Headers bound into the creation of every object.
pub fn create_headers(config: &Config) -> Result<BTreeMap<String, String>> {
    let mut headers: BTreeMap<String, String> = config
        .required_headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .collect();
    let Some(sse) = &config.sse else {
        return Ok(headers);
    };
    let (algorithm, key) = match sse.strip_prefix("aws:kms:") {
        Some(key) if !key.is_empty() => ("aws:kms", Some(key)),
        None if matches!(sse.as_str(), "AES256" | "aws:kms") => (sse.as_str(), None),
        _ => {
            return Err(Error::new(
                Kind::Config,
                format!("{sse:?} is no server-side encryption"),
            )
            .with_hint("use AES256, aws:kms or aws:kms:KEY-ID"));
        }
    };
    headers.insert(
        "x-amz-server-side-encryption".to_owned(),
        algorithm.to_owned(),
    );
    if let Some(key) = key {
        headers.insert(
            "x-amz-server-side-encryption-aws-kms-key-id".to_owned(),
            key.to_owned(),
        );
    }
    Ok(headers)
}

/// What the store is told. `local` is where the gateway itself can be reached; `inside` is where it reaches the embedded store,
/// and `keys` are that store's.
pub fn store(
    config: &Config,
    local: &Url,
    inside: &Url,
    keys: Option<(String, String)>,
) -> Result<Settings> {
    let create_headers = create_headers(config)?;
    Ok(match &config.store {
        StoreConfig::Embedded { .. } => Settings {
            bucket: embedded::BUCKET.to_owned(),
            prefix: String::new(),
            endpoint: Some(inside.clone()),
            public_endpoint: Some(config.public_url.clone().unwrap_or_else(|| local.clone())),
            region: Some(embedded::REGION.to_owned()),
            path_style: true,
            keys,
            create_headers,
            embedded: true,
            cdn: config.cdn.clone(),
            observer: observe_call,
        },
        StoreConfig::S3 {
            bucket,
            prefix,
            endpoint,
            region,
            path_style,
        } => Settings {
            bucket: bucket.clone(),
            prefix: prefix.trim_matches('/').to_owned(),
            endpoint: endpoint.clone(),
            public_endpoint: None,
            region: region.clone(),
            path_style: *path_style,
            keys: None,
            create_headers,
            embedded: false,
            cdn: config.cdn.clone(),
            observer: observe_call,
        },
    })
}

/// What the store is held to from now on, never more than it was found to enforce, and what to warn of.
///
/// # Errors
/// [`Kind::Config`] when the probe must succeed and the store took a wrong body or a wrong length, or does not enforce the
/// proof that was asked for.
pub fn judge(probe: Probe, wanted: Option<Proof>, found: &Profile) -> Result<(Proof, Vec<String>)> {
    let mut faults = Vec::new();
    let strongest = found.proof();
    if strongest == Proof::None {
        faults.push("it took a body with another checksum than the signed one".to_owned());
    }
    let proof = match wanted {
        Some(wanted) if !found.proves(wanted) => {
            faults.push(format!(
                "it does not enforce {}, only {}",
                name(wanted),
                name(strongest)
            ));
            strongest
        }
        wanted => wanted.unwrap_or(strongest),
    };
    if found.support(Capability::Length) != Support::Yes {
        faults.push("it took a body of another length than the signed one".to_owned());
    }
    if probe == Probe::Require && !faults.is_empty() {
        return Err(Error::new(Kind::Config, format!("the store cannot prove uploads: {}", faults.join("; "))).with_hint(
            "use a store that enforces signed checksums, or accept the risk with --store-probe warn; receipts then say \
             `proof: none`",
        ));
    }
    if found.support(Capability::Smuggling) != Support::Yes {
        faults.push(
            "it obeys an unsigned x-amz-copy-source on a presigned PUT: give the signing credentials no read access"
                .to_owned(),
        );
    }
    if found.support(Capability::Expiry) == Support::No {
        faults.push(
            "it takes presigned URLs past their end: whoever has one can use it again".to_owned(),
        );
    }
    Ok((proof, faults))
}

/// The word for a proof, as in JSON.
#[must_use]
pub fn name(proof: Proof) -> &'static str {
    match proof {
        Proof::Sha256 => "sha256",
        Proof::Payload => "payload",
        Proof::Md5 => "md5",
        Proof::None => "none",
    }
}

/// Writes endpoint and keys of the embedded store where any S3 client finds them: as `AWS_CONFIG_FILE` or as
/// `AWS_SHARED_CREDENTIALS_FILE`. Readable by its owner alone, and there whole or not at all.
///
/// # Errors
/// [`Kind::Io`] when the file cannot be written.
pub fn write_credentials(
    path: &Path,
    endpoint: &Url,
    (access, secret): &(String, String),
) -> Result<()> {
    let endpoint = endpoint.as_str().trim_end_matches('/');
    let mut text = format!("# bucket: {}\n[default]\n", embedded::BUCKET);
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "aws_access_key_id = {access}\naws_secret_access_key = {secret}"
    );
    let _ = writeln!(
        text,
        "region = {}\nendpoint_url = {endpoint}",
        embedded::REGION
    );
    let _ = writeln!(text, "s3 =\n    addressing_style = path");
    let draft = path.with_extension(format!("{}.tmp", Uuid::new_v4().simple()));
    let written = draft_private(&draft, text.as_bytes()).and_then(|()| fs::rename(&draft, path));
    written.map_err(|error| {
        // It may never have been made.
        let _ = fs::remove_file(&draft);
        Error::new(
            Kind::Io,
            format!(
                "could not write the store's credentials to {}",
                path.display()
            ),
        )
        .with_source(error)
    })
}

fn draft_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use upload_s3::Finding;

    fn probed(proof: Proof, length_enforced: bool) -> Profile {
        let mut profile = Profile::default();
        let mut found = |capability, yes| {
            profile.record(
                capability,
                Finding::new(if yes { Support::Yes } else { Support::No }, ""),
            );
        };
        found(Capability::Sha256, proof == Proof::Sha256);
        found(Capability::Md5, proof == Proof::Md5);
        found(Capability::Length, length_enforced);
        found(Capability::Smuggling, true);
        profile
    }

    #[test]
    fn a_store_that_enforces_nothing_is_refused_unless_that_is_accepted() {
        let judged = |probe, wanted, found| {
            judge(probe, wanted, &found).map(|(proof, warnings)| (proof, warnings.len()))
        };
        let good = probed(Proof::Sha256, true);
        assert_eq!(
            judged(Probe::Require, None, good.clone()).unwrap(),
            (Proof::Sha256, 0)
        );
        // A stronger one says nothing of a weaker one.
        assert_eq!(
            judged(Probe::Require, Some(Proof::Payload), good.clone())
                .unwrap_err()
                .kind(),
            Kind::Config
        );
        let mut both = good;
        both.record(Capability::Payload, Finding::new(Support::Yes, ""));
        assert_eq!(
            judged(Probe::Require, Some(Proof::Payload), both).unwrap(),
            (Proof::Payload, 0)
        );
        for bad in [probed(Proof::None, true), probed(Proof::Sha256, false)] {
            assert_eq!(
                judged(Probe::Require, None, bad.clone())
                    .unwrap_err()
                    .kind(),
                Kind::Config
            );
            assert_eq!(
                judged(Probe::Warn, None, bad.clone()).unwrap(),
                (bad.proof(), 1)
            );
        }
        let weak = probed(Proof::Md5, true);
        assert_eq!(
            judged(Probe::Require, None, weak.clone()).unwrap(),
            (Proof::Md5, 0)
        );
        assert_eq!(
            judged(Probe::Require, Some(Proof::Sha256), weak.clone())
                .unwrap_err()
                .kind(),
            Kind::Config
        );
        // What was wished for and not found is nothing a receipt may claim.
        assert_eq!(
            judged(Probe::Warn, Some(Proof::Sha256), weak.clone()).unwrap(),
            (Proof::Md5, 1)
        );
        assert_eq!(
            judged(Probe::Warn, Some(Proof::None), weak).unwrap(),
            (Proof::None, 0)
        );
        let nothing = probed(Proof::None, true);
        assert_eq!(
            judged(Probe::Warn, Some(Proof::Payload), nothing).unwrap(),
            (Proof::None, 2)
        );
    }

    #[test]
    fn credentials_are_private_and_replace_what_was_there() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("store.ini");
        fs::write(&path, "old").unwrap();
        let keys = ("AKIA".to_owned(), "secret".to_owned());
        write_credentials(&path, &"http://127.0.0.1:9/".parse().unwrap(), &keys).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.contains(
                "\n[default]\naws_access_key_id = AKIA\naws_secret_access_key = secret\n"
            ),
            "{text}"
        );
        assert!(
            text.contains("\nendpoint_url = http://127.0.0.1:9\n"),
            "{text}"
        );
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
    }
}
