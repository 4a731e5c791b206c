//! An AdmissionReview: what the API server asks, and how it is answered.
//!
//! Of the object only its text is kept at first: what is wrong with it is a refusal in words, and what nobody looks at
//! is not decoded. Where it is known what is looked at, and mostly nothing is wrong, both are read in one go.

use k8s_openapi::api::authentication::v1::UserInfo;
use kube::core::{
    DynamicObject, Status,
    admission::{AdmissionResponse, AdmissionReview},
    response::StatusSummary,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// What the API server sends. Source: Kubernetes, "Dynamic Admission Control", request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review<O> {
    api_version: String,
    kind: String,
    request: Option<Request<O>>,
}

/// A request that is to be judged. Of its objects it has the text, or what is looked at.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request<O = Box<RawValue>> {
    /// Which request it is: the answer repeats it.
    pub uid: String,
    /// What the object is.
    pub kind: GroupVersionKind,
    /// The name, unless the API server is to make one.
    #[serde(default)]
    pub name: String,
    /// The namespace.
    #[serde(default)]
    pub namespace: String,
    /// What is done with it.
    pub operation: Operation,
    /// Who does it.
    pub user_info: UserInfo,
    /// The object as it is to be.
    pub object: Option<O>,
    /// The object as it was, where it is changed.
    pub old_object: Option<O>,
}

/// A kind of object.
#[derive(Debug, Deserialize)]
pub struct GroupVersionKind {
    /// API group; empty for the core's.
    pub group: String,
    /// Kind.
    pub kind: String,
}

/// What is done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is deleted.
    Delete,
    /// Something else is done with it, such as opening a shell.
    Connect,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be done; what the user should know.
    Allowed(Vec<String>),
    /// It may not, with an HTTP status, and why.
    Denied(u16, String),
}

impl Verdict {
    /// It may be done, and there is nothing to say.
    pub fn allowed() -> Self {
        Self::Allowed(vec![])
    }
}

impl<O: DeserializeOwned> Request<O> {
    /// Reads a review.
    ///
    /// # Errors
    /// A sentence on why it is none.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        let Review { api_version, kind, request } = serde_json::from_slice(body).map_err(|error| {
            format!("the body is no AdmissionReview: {}", crate::api::without_values(&error.to_string()))
        })?;
        if (api_version.as_str(), kind.as_str()) != ("admission.k8s.io/v1", "AdmissionReview") {
            return Err("the body is no AdmissionReview of admission.k8s.io/v1".to_owned());
        }
        request.ok_or_else(|| "the AdmissionReview has no request".to_owned())
    }
}

impl Request {
    /// The object as it is to be.
    ///
    /// # Errors
    /// A refusal.
    pub fn object<T: DeserializeOwned>(&self) -> Result<T, Verdict> {
        self.object.as_ref().ok_or_else(no_object).and_then(|object| self.decode(object))
    }

    /// One of its objects.
    ///
    /// # Errors
    /// A refusal.
    pub fn decode<T: DeserializeOwned>(&self, object: &RawValue) -> Result<T, Verdict> {
        serde_json::from_str(object.get()).map_err(|error| {
            let error = crate::api::without_values(&error.to_string());
            Verdict::Denied(400, format!("the {} cannot be read: {error}", self.kind.kind))
        })
    }
}

/// The refusal of a request without what it is about.
pub fn no_object() -> Verdict {
    Verdict::Denied(400, "the AdmissionReview has no object".to_owned())
}

impl<O> Request<O> {
    /// The answer as it is sent.
    pub fn answer(&self, verdict: Verdict) -> AdmissionReview<DynamicObject> {
        let mut response = AdmissionResponse::invalid("");
        response.uid.clone_from(&self.uid);
        match verdict {
            Verdict::Allowed(warnings) => {
                response.allowed = true;
                response.result = Status::default();
                response.warnings = Some(warnings).filter(|warnings| !warnings.is_empty());
            }
            Verdict::Denied(code, message) => {
                let reason = if code == 403 { "Forbidden" } else { "Invalid" };
                response.result = Status {
                    status: Some(StatusSummary::Failure),
                    code,
                    message,
                    reason: reason.to_owned(),
                    ..Status::default()
                };
            }
        }
        response.into_review()
    }
}
