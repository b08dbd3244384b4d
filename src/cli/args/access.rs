//! What was typed behind `upload serve` about who may use it, and how much.
//!
//! Border: as `args`; what it means for the gateway is `cli/serve/access`.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are help texts, which no Markdown reader sees"
)]

use clap::ValueEnum;
use clap::ValueHint;
use clap::builder::NonEmptyStringValueParser;

use crate::cli::parse;

#[derive(clap::Args)]
pub struct Access {
    /// Who may use the API; `tokens,jwt` takes both [default: none on loopback, else this has to be said]
    #[arg(long, value_name = "MODE", value_delimiter = ',')]
    pub auth: Vec<AuthMode>,
    /// Whose signed tokens are taken with --auth jwt, as their `iss` has it, such as `https://token.actions.githubusercontent.com`
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub jwt_issuer: Option<String>,
    /// What the tokens' `aud` must name: choose something that only this gateway is called
    #[arg(long, value_name = "AUDIENCE", requires = "jwt_issuer", value_parser = NonEmptyStringValueParser::new())]
    pub jwt_audience: Option<String>,
    /// Where the issuer's keys are [default: where its /.well-known/openid-configuration says]
    #[arg(long, value_name = "URL", requires = "jwt_issuer", value_hint = ValueHint::Url)]
    pub jwt_jwks: Option<String>,
    /// How the tokens are signed; no other way is taken, whatever they say
    #[arg(long, value_name = "ALGORITHM", default_value = "RS256")]
    pub jwt_algorithm: JwtAlgorithm,
    /// A claim that tokens must have, and a glob for its value; repeatable
    ///
    /// In the glob, * is any run of characters without / and :, and ** any run at all: repository=acme/*, or
    /// sub=repo:acme/app:ref:refs/heads/**. Each claim that is named must match; where one is named more than once, one of its globs
    /// is enough. Without any, everybody the issuer knows would be let in: if that is meant, say sub=**.
    #[arg(long = "jwt-claim", value_name = "NAME=GLOB", requires = "jwt_issuer", value_parser = parse::claim)]
    pub jwt_claims: Vec<(String, String)>,
    /// The claim that says whose uploads they are; with GitHub Actions repository_id, since its sub differs by branch
    #[arg(long, value_name = "NAME", default_value = "sub", value_parser = NonEmptyStringValueParser::new())]
    pub jwt_owner_claim: String,
    /// URLs that are signed for each owner, such as 100/s, or 100/s,burst=5000 [default: any number]
    ///
    /// Counted by each gateway on its own. After a rest, burst of them may be asked for at once, by default and at least 1000,
    /// as many as one call may ask for. Whoever asks for more is told to come back (429 rate_limited).
    #[arg(long, value_name = "N/s")]
    pub rate: Option<String>,
    /// What each owner may have: open=1000 unfinished uploads, outstanding=1TiB in them, total=10TiB with all that is ready
    ///
    /// Any of the three, with commas between them. Counted in the ledger, for all gateways on it together. Whoever begins an upload
    /// beyond it is refused (429 quota_exceeded), and told to come back where the end of other uploads makes room.
    /// [default: any amount]
    #[arg(long, value_name = "open=N,outstanding=SIZE,total=SIZE")]
    pub quota: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AuthMode {
    /// Everybody who reaches it: on loopback only
    None,
    /// Whoever holds a token made by `upload serve token add`
    Tokens,
    /// Whoever holds a token that --jwt-issuer signed, such as a job of GitHub Actions
    Jwt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum JwtAlgorithm {
    /// RSA of 2048 bits or more, with SHA-256
    #[value(name = "RS256")]
    Rs256,
    /// ECDSA on P-256, with SHA-256
    #[value(name = "ES256")]
    Es256,
    /// Ed25519
    #[value(name = "EdDSA")]
    EdDsa,
}
