//! Whom a token was issued for.

use crate::api::foreign;

use super::{
    Token,
    finding::{TokenCheck, TokenFinding, TokenResult},
};

/// Microsoft Graph, by its client id and by its address. Source: Microsoft, "Microsoft Graph permissions reference".
const GRAPH: [&str; 2] = ["00000003-0000-0000-c000-000000000000", "https://graph.microsoft.com"];

/// Whether a token was issued for `wanted`, which stands in `object`. Timbr compares exactly.
pub fn finding(object: String, wanted: Option<&str>, token: &Token) -> TokenFinding {
    let (result, sentence) = judge(wanted, &token.audiences());
    TokenFinding::new(object, "spec.audience", TokenCheck::Audience, result, sentence)
}

fn judge(wanted: Option<&str>, audiences: &[&str]) -> (TokenResult, String) {
    let named: Vec<String> = audiences.iter().map(|audience| foreign(audience)).collect();
    let named = named.join(", ");
    let Some(wanted) = wanted else {
        let fix = match audiences {
            [one] => format!("set it to {}, if that is Timbr's, or send the header x-jwt-client-id", foreign(one)),
            _ => "set it, or send the header x-jwt-client-id".to_owned(),
        };
        return (TokenResult::Unknown, format!("is absent, so Timbr takes tokens for any application; {fix}"));
    };
    if audiences.is_empty() {
        return (
            TokenResult::Wrong,
            format!("is {wanted}, and the token has no aud; get one that was issued for Timbr"),
        );
    }
    if audiences.contains(&wanted) {
        return (TokenResult::Ok, format!("is {wanted}, as the token's aud"));
    }
    if let Some(other) = audiences.iter().find(|audience| application(audience) == application(wanted)) {
        return (
            TokenResult::Wrong,
            format!(
                "is {wanted}, and the token's aud is {}: the same application written in another form, and Timbr compares exactly; set spec.audience to {}",
                foreign(other),
                foreign(other)
            ),
        );
    }
    if audiences.iter().any(|audience| GRAPH.contains(&audience.trim_end_matches('/'))) {
        return (
            TokenResult::Wrong,
            format!(
                "is {wanted}, and the token was issued for Microsoft Graph (aud {named}), which nobody else can check; get one for Timbr: az account get-access-token --resource {wanted}"
            ),
        );
    }
    (
        TokenResult::Wrong,
        format!(
            "is {wanted}, and the token's aud is {named}: it was issued for another application; get one for Timbr (az account get-access-token --resource {wanted}), or, if aud is Timbr's client id, set spec.audience to it"
        ),
    )
}

/// An application, whichever way it is written: a client id, `api://` or `spn:` and the id, in any case, with a slash
/// at the end or without.
pub fn application(audience: &str) -> String {
    let lower = audience.trim_end_matches('/').to_ascii_lowercase();
    let bare = ["api://", "spn:"].iter().find_map(|form| lower.strip_prefix(form)).map(str::to_owned);
    bare.unwrap_or(lower)
}
