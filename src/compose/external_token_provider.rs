//! What an ExternalTokenProvider says. It delivers nothing: it is trust, for whoever checks tokens.

use std::collections::BTreeSet;

use crate::api::{
    CheckLevel::Required, Code, ExternalTokenProviderSpec, ExternalTokenProviderStatus, Kind, Meta, Problem, Resource,
    Spec, Status, TrustedPair, normal_issuer, rules,
};

use super::{Case, Probe, kinds::Place, plan::Asked};

/// What is wrong with the spec by itself.
pub fn problems(spec: &ExternalTokenProviderSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    problems.extend(rules::DISPLAY_NAME.check("spec.displayName", &spec.display_name));
    problems.extend(rules::NO_EXPANSION.check("spec.displayName", &spec.display_name));
    for rule in [&rules::AUDIENCE, &rules::NO_EXPANSION] {
        problems.extend(spec.audiences.iter().find_map(|audience| rule.check("spec.audiences", audience)));
    }
    problems.extend(rules::CLAIM.check("spec.userClaim", &spec.user_claim));
    problems.extend(rules::ISSUER.check("spec.issuerUrl", &spec.issuer_url));
    problems.extend(spec.jwks_url.as_ref().and_then(|url| rules::JWKS_URL.check("spec.jwksUrl", url)));
    problems
}

/// The pairs of issuer and audience that it wants; each belongs to one provider.
pub fn pairs(spec: &ExternalTokenProviderSpec) -> Vec<TrustedPair> {
    let issuer = normal_issuer(&spec.issuer_url);
    spec.audiences.iter().map(|audience| TrustedPair { issuer: issuer.clone(), audience: audience.clone() }).collect()
}

/// The pairs that it wants. Of one that cannot be read: those that it has.
pub fn wanted(resource: &Resource<Spec>) -> Vec<TrustedPair> {
    match &resource.spec {
        Ok(Spec::ExternalTokenProvider(spec)) => pairs(spec),
        _ => held(resource),
    }
}

/// Whether it has a pair by its record.
pub fn holds(resource: &Resource<Spec>, pair: &TrustedPair) -> bool {
    matches!(resource.status.as_deref(), Some(Status::ExternalTokenProvider(status)) if status.holds.contains(pair))
}

/// A pair that a provider in another namespace has, or wants too.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreign {
    /// The provider.
    pub meta: Meta,
    /// The pair.
    pub pair: TrustedPair,
    /// Whether it has it by its record.
    pub holds: bool,
    /// The organization that both namespaces belong to, if it is one: of these, one has the pair.
    pub organization: Option<String>,
}

/// What a namespace's providers have or want, as other namespaces see it. One that belongs to no installation is in
/// nobody's way, and neither is one that was judged as it is now, and did not get what it wants.
pub fn contenders<'a>(
    resources: impl IntoIterator<Item = &'a Resource<Spec>>,
    installations: &BTreeSet<&str>,
) -> Vec<Foreign> {
    let is_provider = |resource: &&Resource<Spec>| resource.meta.kind == Kind::ExternalTokenProvider;
    let providers = resources.into_iter().filter(is_provider).filter(|it| it.key(installations).is_ok());
    let pairs = providers.flat_map(|it| wanted(it).into_iter().map(move |pair| (it, holds(it, &pair), pair)));
    pairs
        .filter(|(it, holds, _)| *holds || !is_judged(it))
        .map(|(it, holds, pair)| Foreign { meta: it.meta.clone(), pair, holds, organization: None })
        .collect()
}

fn is_judged(resource: &Resource<Spec>) -> bool {
    let status = resource.status.as_ref();
    status.is_some_and(|status| status.common().observed_generation == resource.meta.generation)
}

/// The place that a pair is.
pub fn place(pair: &TrustedPair) -> Place {
    Place::Named(Kind::ExternalTokenProvider, format!("{} {}", pair.issuer, pair.audience))
}

/// The pairs that it has by its record and still wants. Of one that cannot be read nobody knows what it
/// wants: all of them.
pub fn held(resource: &Resource<Spec>) -> Vec<TrustedPair> {
    let Some(Status::ExternalTokenProvider(status)) = resource.status.as_deref() else { return vec![] };
    match &resource.spec {
        Ok(Spec::ExternalTokenProvider(spec)) => {
            let wanted = pairs(spec);
            status.holds.iter().filter(|pair| wanted.contains(pair)).cloned().collect()
        }
        _ => status.holds.clone(),
    }
}

/// A warning of each of its pairs that a provider in another namespace names too, and of one in a namespace of the
/// same organization that has it all the same, by another operator perhaps.
pub fn shared(spec: &ExternalTokenProviderSpec, foreign: &[Foreign]) -> Vec<Problem> {
    let is_shared = |pair: &TrustedPair| {
        foreign.iter().any(|there| there.pair == *pair && (there.organization.is_none() || there.holds))
    };
    let shared = pairs(spec).into_iter().filter(is_shared);
    shared
        .map(|TrustedPair { issuer, audience }| {
            let message = format!(
                "an ExternalTokenProvider in another namespace names issuer and audience {issuer} {audience} too: a token that is meant for one of the two is taken by the other; give each an audience of its own"
            );
            Problem::warning("spec.audiences", Code::Collision, message)
        })
        .collect()
}

/// What a valid spec says. One that belongs nowhere says nothing new.
pub fn ask(spec: &ExternalTokenProviderSpec, case: &Case<'_>) -> Asked {
    if !case.at_home {
        return Asked::default();
    }
    let details = ExternalTokenProviderStatus { holds: pairs(spec), ..Default::default() };
    let mut asked = Asked { details: Some(Status::ExternalTokenProvider(details)), ..Asked::default() };
    let algorithms = spec.algorithms.iter().map(|algorithm| algorithm.as_str()).collect();
    let (issuer, jwks_url) = (spec.issuer_url.clone(), spec.jwks_url.clone());
    asked.check("Issuer", Required, Probe::Issuer { issuer, jwks_url, algorithms });
    asked
}
