//! Timbr's REST API takes the key, or the reason is told.

use testkit::timbr_api::Fault;
use testkit::{Azure, TimbrApi};
use timbr_identity::{
    api::CheckResult,
    compose::{Probe, SqlTarget},
};

use super::{is, tried};

#[tokio::test]
async fn a_key_is_taken_or_the_reason_is_told() {
    let (azure, api) = (Azure::start(), TimbrApi::start());
    let with = |token: &str| {
        let (url, ontology) = (api.url().to_owned(), "system_db".to_owned());
        Probe::TimbrApi(SqlTarget { url, ontology, token: token.into() })
    };
    let what = format!("Timbr's REST API ({})", api.url());
    let right = with(api.key());
    is(&tried(&azure, &right).await, "Passed", &format!("{what} takes the API key"));
    let refused = format!(
        "{what} does not take the API key; make one in Timbr for a user who has GRANT EDIT ON ALL ROLE and GRANT QUERY ON ALL ROLE, and put it into the Secret of spec.sql.tokenSecretRef of the TimbrInstallation"
    );
    let outcome = tried(&azure, &with("tk_another")).await;
    is(&outcome, "ApiKeyRefused", &refused);
    assert_eq!(outcome.finding(), CheckResult::Fail);
    let outcome = tried(&azure, &with("tk\nother")).await;
    let sentence =
        format!("{what}: the API key holds characters that no HTTP header can carry; put it into the Secret again");
    is(&outcome, "CredentialRefused", &sentence);
    let wrong_so_far = api.violations().len();
    let refuse = |status, text: &str| Fault::Refuse(status, text.to_owned());
    for (fault, reason, result) in [
        // Somebody behind it has rejected the credential.
        (Fault::RejectCredential, "ApiKeyRefused", CheckResult::Fail),
        (refuse(403, "no"), "ApiKeyRefused", CheckResult::Fail),
        (refuse(500, "no"), "ServiceFailed", CheckResult::Unknown),
        (refuse(404, "no"), "Unreadable", CheckResult::Unknown),
        (Fault::Html, "Unreadable", CheckResult::Unknown),
        (Fault::Close, "Unreachable", CheckResult::Unknown),
        (Fault::Redirect("https://10.0.0.7/".to_owned()), "Unreadable", CheckResult::Unknown),
    ] {
        api.always(fault.clone());
        let outcome = tried(&azure, &right).await;
        assert_eq!((outcome.reason.as_str(), outcome.finding()), (reason, result), "{fault:?}: {}", outcome.message);
        assert!(!outcome.message.contains(api.key()), "{fault:?}: {}", outcome.message);
        api.recover();
        assert_eq!(tried(&azure, &right).await.reason.as_str(), "Passed", "after {fault:?}");
    }
    // Whoever repeats the key is not repeated.
    api.always(refuse(400, &format!("the key {} is odd", api.key())));
    let sentence = format!(
        "{what} answers with status 400: \"the key <redacted> is odd\"; check spec.sql.url of the TimbrInstallation"
    );
    is(&tried(&azure, &right).await, "Unreadable", &sentence);
    assert_eq!(api.violations().len(), wrong_so_far, "{:?}", api.violations());
    assert!(api.executed().is_empty(), "nothing is changed");
}
