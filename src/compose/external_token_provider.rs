//! What an ExternalTokenProvider says. It delivers nothing: it is trust, for whoever checks tokens.

use crate::api::{
    ExternalTokenProviderSpec, ExternalTokenProviderStatus, Kind, Problem, Resource, Spec, Status, TrustedPair,
    normal_issuer, rules,
};

use super::{Case, kinds::Place, plan::Asked};

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

/// The place that a pair is.
pub fn place(pair: &TrustedPair) -> Place {
    Place::Named(Kind::ExternalTokenProvider, format!("{} {}", pair.issuer, pair.audience))
}

/// The pairs that it has by its record and still wants. Of one that cannot be read nobody knows what it
/// wants: all of them.
pub fn held(resource: &Resource<Spec>) -> Vec<TrustedPair> {
    let Some(Status::ExternalTokenProvider(status)) = &resource.status else { return vec![] };
    match &resource.spec {
        Ok(Spec::ExternalTokenProvider(spec)) => {
            let wanted = pairs(spec);
            status.holds.iter().filter(|pair| wanted.contains(pair)).cloned().collect()
        }
        _ => status.holds.clone(),
    }
}

/// What a valid spec says. One that belongs nowhere says nothing new.
pub fn ask(spec: &ExternalTokenProviderSpec, case: &Case<'_>) -> Asked {
    if !case.at_home {
        return Asked::default();
    }
    let details = ExternalTokenProviderStatus { holds: pairs(spec), ..Default::default() };
    Asked { details: Some(Status::ExternalTokenProvider(details)), ..Asked::default() }
}
