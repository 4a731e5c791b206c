//! Why a caller may use a component of Timbr, or why not, and what is wrong with its token.
//!
//! What is decided here is decided from a token's claims, a time and resources alone. Nobody checks a signature: it is
//! the holder of the token who asks.

mod audience;
mod authentication;
mod finding;
mod issuer;
mod print;
mod provider;
mod setup;
mod time;
mod token;
mod user;

use jiff::Timestamp;

use crate::{
    api::PolicyTarget,
    policy::{Caller, Decision, decide},
};

use super::{Judged, access::access};
use setup::Setup;

pub use finding::{TokenCheck, TokenFinding, TokenResult};
pub use print::{decision_json, decision_text};
pub use token::{Token, TokenError};

/// Whether a caller may use a component of the Timbr of a namespace.
pub fn decision(judged: &Judged<'_>, namespace: &str, target: PolicyTarget, caller: &Caller) -> Decision {
    let access = access(judged, namespace);
    decide(&access.trust, target, &access.policies, caller)
}

/// What there is to say about a token.
#[derive(Clone, Debug)]
pub struct Explained {
    /// Whether its holder may use the component.
    pub decision: Decision,
    /// Whether Timbr takes it, point by point.
    pub findings: Vec<TokenFinding>,
}

/// A question about a token.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The namespace of Timbr.
    pub namespace: &'a str,
    /// The component.
    pub target: PolicyTarget,
    /// The token.
    pub token: &'a Token,
    /// What requests say in the header `x-jwt-tenant-id`.
    pub tenant: Option<&'a str>,
    /// When it is asked.
    pub now: Timestamp,
}

/// Whether a token's holder may use a component, and whether Timbr takes the token.
pub fn explain(judged: &Judged<'_>, question: &Question<'_>) -> Explained {
    let Question { namespace, target, token, tenant, now } = *question;
    let setup = Setup::new(judged, namespace);
    let mut findings = time::findings(token, now);
    let by_timbr = authentication::findings(&setup, token, tenant);
    let by_provider = provider::findings(&setup, token, is_meant(&by_timbr));
    findings.extend(by_timbr.into_iter().chain(by_provider));
    let caller = Caller::Token(Box::new(token.known.clone()));
    Explained { decision: decision(judged, namespace, target, &caller), findings }
}

/// Whether a token was issued for timbr-api, by whom timbr-api expects.
fn is_meant(findings: &[TokenFinding]) -> bool {
    let whence = [TokenCheck::JwtType, TokenCheck::Audience, TokenCheck::Issuer];
    let mut asked = findings.iter().filter(|finding| whence.contains(&finding.code)).peekable();
    asked.peek().is_some() && asked.all(|finding| finding.result != TokenResult::Wrong)
}
