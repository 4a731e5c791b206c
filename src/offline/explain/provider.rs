//! Which ExternalTokenProvider a token goes to, and what that one makes of it.

use crate::api::{ExternalTokenProviderSpec, Kind, Meta, foreign, normal_issuer};

use super::{
    Token, audience,
    finding::{TokenCheck, TokenFinding, TokenResult, title},
    issuer,
    setup::Setup,
    user::{self, UserClaim},
};

type Provider<'a> = (&'a Meta, &'a ExternalTokenProviderSpec);

/// Which provider a token goes to: the one that has its issuer and one of its audiences. An audience is compared as it
/// stands, an issuer in its normal form. A token that is meant for timbr-api (`is_meant`) may go to none.
pub fn findings(setup: &Setup<'_>, token: &Token, is_meant: bool) -> Vec<TokenFinding> {
    if setup.providers.is_empty() {
        return vec![];
    }
    let audiences = token.audiences();
    let names_audience =
        |spec: &ExternalTokenProviderSpec| spec.audiences.iter().any(|audience| audiences.contains(&audience.as_str()));
    let same_issuer: Vec<Provider<'_>> =
        setup.providers.iter().copied().filter(|(_, spec)| is_of(token, spec)).collect();
    if let Some(provider) = same_issuer.iter().find(|(_, spec)| names_audience(spec)) {
        return trusted(*provider, token);
    }
    let result = if is_meant { TokenResult::Unknown } else { TokenResult::Wrong };
    let named: Vec<String> = audiences.iter().map(|audience| foreign(audience)).collect();
    let named = if named.is_empty() { "none".to_owned() } else { named.join(", ") };
    if !same_issuer.is_empty() {
        return same_issuer.iter().map(|provider| other_audience(*provider, &audiences, &named, result)).collect();
    }
    let near = setup.providers.iter().filter(|(_, spec)| {
        let [there, here] =
            [&spec.issuer_url, &token.known.issuer].map(|issuer| issuer::tenant(issuer, &setup.entra).map(|it| it.id));
        names_audience(spec) && there.is_some() && there == here
    });
    let near = near.map(|(meta, spec)| {
        let sentence = format!(
            "is {}, and the token is of the other version of the same directory (iss {}); set it to that, or change accessTokenAcceptedVersion of the app registration",
            spec.issuer_url,
            foreign(&token.known.issuer)
        );
        TokenFinding::new(title(meta), "spec.issuerUrl", TokenCheck::Provider, result, sentence)
    });
    let near: Vec<_> = near.collect();
    if !near.is_empty() {
        return near;
    }
    let sentence = format!("none of the input trusts issuer {}", foreign(&token.known.issuer));
    vec![TokenFinding::none(Kind::ExternalTokenProvider, TokenCheck::Provider, &sentence)]
}

fn is_of(token: &Token, spec: &ExternalTokenProviderSpec) -> bool {
    normal_issuer(&spec.issuer_url) == normal_issuer(&token.known.issuer)
}

fn other_audience((meta, spec): Provider<'_>, audiences: &[&str], named: &str, result: TokenResult) -> TokenFinding {
    let is_form = |wanted: &String| {
        audiences.iter().any(|audience| audience::application(audience) == audience::application(wanted))
    };
    let fix = if spec.audiences.iter().any(is_form) {
        "that is the same application written in another form; add it as it stands in the token"
    } else {
        "get a token for one of those, or add the token's"
    };
    let wanted = spec.audiences.join(", ");
    let sentence = format!("has the token's issuer and the audiences {wanted}, and the token's aud is {named}; {fix}");
    TokenFinding::new(title(meta), "spec.audiences", TokenCheck::Provider, result, sentence)
}

/// What the provider that a token goes to makes of it.
fn trusted((meta, spec): Provider<'_>, token: &Token) -> Vec<TokenFinding> {
    let object = title(meta);
    let find = |path: &str, code, result, sentence: String| TokenFinding::new(&object, path, code, result, sentence);
    let mut findings = vec![find(
        "spec.issuerUrl",
        TokenCheck::Provider,
        TokenResult::Ok,
        "issuer and audience of the token are this provider's".to_owned(),
    )];
    findings.push(if spec.enabled {
        find(
            "spec.enabled",
            TokenCheck::ProviderEnabled,
            TokenResult::Ok,
            "is true: the provider is trusted".to_owned(),
        )
    } else {
        find(
            "spec.enabled",
            TokenCheck::ProviderEnabled,
            TokenResult::Wrong,
            "is false: the provider is known and not trusted; set it to true".to_owned(),
        )
    });
    let accepted: Vec<&str> = spec.algorithms.iter().map(|algorithm| algorithm.as_str()).collect();
    let used = token.algorithm.as_deref().unwrap_or_default();
    findings.push(if accepted.contains(&used) {
        find("spec.algorithms", TokenCheck::Algorithm, TokenResult::Ok, format!("has {used}, by which the token is signed"))
    } else {
        find(
            "spec.algorithms",
            TokenCheck::Algorithm,
            TokenResult::Wrong,
            format!(
                "has {}, and the token is signed by {}; add that if the provider signs so, and never trust a token that is not signed with a key of the provider",
                accepted.join(", "),
                foreign(used)
            ),
        )
    });
    let claim = UserClaim { object: &object, claim: &spec.user_claim, type_: None };
    match claim.read(token) {
        Ok(value) => {
            let sentence = format!("is {}, which the token has: {}", spec.user_claim, foreign(value));
            findings.push(claim.finding(TokenResult::Ok, &sentence));
            findings.push(user::name(&object, value));
        }
        Err(finding) => findings.push(finding),
    }
    findings
}
