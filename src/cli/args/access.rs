//! The flags of `upload serve` about authentication, rates and quotas.
//!
//! Not here: their meaning for the gateway (`cli/serve/access`).

#![expect(
    clippy::doc_markdown,
    reason = "these comments are help texts, which are not Markdown"
)]

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum, ValueHint};

use crate::cli::parse;

#[derive(Args)]
#[command(next_help_heading = "Access options")]
pub struct AccessArgs {
    /// How clients authenticate; tokens,jwt accepts both [default: none on loopback; required on
    /// other addresses]
    #[arg(long, value_name = "MODE", value_delimiter = ',')]
    pub auth: Vec<AuthMode>,
    /// For --auth jwt: the issuer of accepted tokens (`iss`), such as
    /// https://token.actions.githubusercontent.com; repeatable
    ///
    /// With several issuers, the value of --jwt-audience, --jwt-jwks, --jwt-claim and
    /// --jwt-owner-claim applies to all of them, or to one if it begins with that issuer and a
    /// space: --jwt-claim 'https://gitlab.example project_path=acme/*'. Owners of different issuers
    /// are always different.
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub jwt_issuer: Vec<String>,
    /// For --auth jwt: the required audience (`aud`); choose a name that only this gateway uses;
    /// repeatable: one must match
    #[arg(long, value_name = "AUDIENCE", value_parser = NonEmptyStringValueParser::new())]
    pub jwt_audience: Vec<String>,
    /// For --auth jwt: the URL of the issuer's keys [default: from its
    /// /.well-known/openid-configuration]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub jwt_jwks: Vec<String>,
    /// For --auth jwt: the accepted signature algorithms; tokens that name another are rejected
    #[arg(
        long,
        value_name = "ALGORITHM",
        default_value = "RS256",
        value_delimiter = ','
    )]
    pub jwt_algorithm: Vec<JwtAlgorithm>,
    /// For --auth jwt: a claim that tokens must have, and a glob for its value; repeatable,
    /// required at least once
    ///
    /// In the glob, * matches any characters except / and :, and ** matches any characters:
    /// repository=acme/*, or sub=repo:acme/app:ref:refs/heads/**. Every named claim must match; if
    /// a claim is named several times, one of its globs must match. A path names a claim in an
    /// object: realm_access.roles=uploader. Of a list, and of the words of `scope` and `scp`, one
    /// must match. To accept every token of the issuer, use sub=**.
    #[arg(long = "jwt-claim", value_name = "NAME=GLOB", value_parser = parse::claim)]
    pub jwt_claims: Vec<(String, String)>,
    /// For --auth jwt: the claim that identifies the owner of uploads; for GitHub Actions
    /// repository_id, since sub differs by branch
    ///
    /// The claim is a text or a whole number; the number 1 and the text 1 are different owners.
    #[arg(long, value_name = "NAME", default_value = "sub", value_parser = NonEmptyStringValueParser::new())]
    pub jwt_owner_claim: Vec<String>,
    /// Calls and signed URLs per owner, such as 100/s or 100/s,burst=5000 [default: unlimited]
    ///
    /// A call that signs URLs counts once for each part; every other call about an upload, and each
    /// entry of a batch, counts once, and so do 256 files that a put confirms together. Each
    /// gateway counts separately. After a pause, an owner may use a burst at once: at least 1000,
    /// the most URLs that one call may request; by default the larger of N and 1000. The gateway
    /// refuses further calls with 429 rate_limited and the time to wait.
    #[arg(long, value_name = "N/s")]
    pub rate: Option<String>,
    /// Limits per owner: open=1000 unfinished uploads, outstanding=1TiB in these, total=10TiB
    /// including ready uploads [default: unlimited]
    ///
    /// Any of the three, separated by commas. All gateways on one ledger count together. A request
    /// for an upload that would exceed a limit is refused with 429 quota_exceeded, and with the
    /// time to wait if the end of other uploads will make room.
    #[arg(long, value_name = "open=N,outstanding=SIZE,total=SIZE")]
    pub quota: Option<String>,
    /// Limits of some owners, as a TOML table; repeatable
    ///
    /// owner (a glob for the subject that `serve owners` lists) and claim ("NAME=GLOB" of a JWT)
    /// select requests; quota, rate (or "none" for each), allow_type and keys replace --quota,
    /// --rate and --allow-type: owner = "token:ci-*", quota = "total=10GiB". Each limit is that of
    /// the most specific rule: more conditions, then more characters other than *, then the first.
    /// The limits of a token (`serve token add`) precede every rule. In the configuration file,
    /// write a table `[[limits]]`.
    #[arg(long = "limits", value_name = "TABLE")]
    pub limits: Vec<String>,
    /// The places at which the subjects of owners (`token:NAME`, `jwt:ISSUER CLAIM`) appear
    #[arg(long, value_name = "WHERE", default_value = "all")]
    pub subjects: Subjects,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Subjects {
    /// In the log and in the documents of hooks
    All,
    /// In the documents of hooks
    Hooks,
    /// In the ledger only
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AuthMode {
    /// No authentication: on loopback only
    None,
    /// Tokens made by `upload serve token add`
    Tokens,
    /// Tokens signed by --jwt-issuer, for example of a GitHub Actions job
    Jwt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum JwtAlgorithm {
    /// RSA of 2048 bits or more, with SHA-256
    #[value(name = "RS256")]
    Rs256,
    /// The same with SHA-384
    #[value(name = "RS384")]
    Rs384,
    /// The same with SHA-512
    #[value(name = "RS512")]
    Rs512,
    /// RSA-PSS, with SHA-256
    #[value(name = "PS256")]
    Ps256,
    /// RSA-PSS, with SHA-384
    #[value(name = "PS384")]
    Ps384,
    /// RSA-PSS, with SHA-512
    #[value(name = "PS512")]
    Ps512,
    /// ECDSA on P-256, with SHA-256
    #[value(name = "ES256")]
    Es256,
    /// ECDSA on P-384, with SHA-384
    #[value(name = "ES384")]
    Es384,
    /// Ed25519
    #[value(name = "EdDSA")]
    EdDsa,
}
