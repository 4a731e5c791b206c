//! What the webhook answers: reads a review, asks who decides, and says what came of it.

use std::{
    borrow::Cow,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request as HttpRequest, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::post,
};
use k8s_openapi::api::{
    authentication::v1::UserInfo,
    authorization::v1::{LocalSubjectAccessReview, ResourceAttributes, SubjectAccessReviewSpec},
    core::v1::Secret,
};
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams, PostParams},
};

use crate::{
    api::{GUARDS_SECRET, Kind, Object, PolicyTarget, Resource, Spec, message},
    compose::{Access, LiveGuards, Settings, is_sound, live_guards},
    metrics::Metrics,
    policy::{Caller, Code, Decision, Trust, decide},
    world::{Index, Sync, api_resource, describe},
};

use super::{
    consumer::{self, Asked, Consumer},
    denial::denial,
    resources,
    review::{Request, Verdict},
};

/// Largest review that is read: the API server takes objects up to 3 MiB, and a review holds the old one and the new.
const LARGEST: usize = 8 << 20;

/// Longest time that a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest time to ask the API server something. It waits 5 seconds for the webhook.
const ASKING: Duration = Duration::from_secs(2);

/// What the API server tells of a namespace now.
struct Live {
    policies: Vec<Resource<Spec>>,
    guards: Option<LiveGuards>,
}

/// What is needed to answer.
#[derive(Clone)]
pub struct Desk {
    /// What the watches have seen.
    pub index: Arc<RwLock<Index>>,
    /// Whether they have seen everything.
    pub sync: Arc<Sync>,
    /// What decisions depend on.
    pub settings: Settings,
    /// Asks the API server.
    pub client: Client,
    /// Counts.
    pub metrics: Metrics,
}

/// The webhook's paths: `/resources` for our own kinds, `/consumers` for workloads.
pub fn router(desk: Desk) -> Router {
    Router::new().route("/resources", post(resources)).route("/consumers", post(consumers)).with_state(desk)
}

async fn resources(State(desk): State<Desk>, request: HttpRequest) -> Response {
    let body = match read(request).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let request: Request = match Request::read(&body) {
        Ok(request) => request,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error),
    };
    let verdict = match resources::look(&request, &desk.settings) {
        Ok(judged) => desk.may_read(&request, judged).await,
        Err(verdict) => verdict,
    };
    desk.answer("resources", &request, verdict)
}

async fn consumers(State(desk): State<Desk>, request: HttpRequest) -> Response {
    let body = match read(request).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    // An object that is none is told apart from the review that holds it.
    if let Ok(request) = Request::<consumer::Object>::read(&body) {
        let asked = Asked::of(&request, |object| Ok(Cow::Borrowed(object)));
        return desk.consumers(&request, asked).await;
    }
    let request: Request = match Request::read(&body) {
        Ok(request) => request,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error),
    };
    let asked = Asked::of(&request, |object| request.decode(object).map(Cow::Owned));
    desk.consumers(&request, asked).await
}

/// The body of a request, if it can be a review.
async fn read(request: HttpRequest) -> Result<Bytes, Response> {
    let content = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !content.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
        return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send an AdmissionReview as application/json"));
    }
    body(request.into_body()).await
}

async fn body(body: Body) -> Result<Bytes, Response> {
    match tokio::time::timeout(PATIENCE, to_bytes(body, LARGEST)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => {
            Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, "the body ended early, or is larger than any review (8 MiB)"))
        }
        Err(_) => Err(refuse(StatusCode::REQUEST_TIMEOUT, "the body did not arrive within 10 seconds")),
    }
}

fn refuse(status: StatusCode, sentence: &str) -> Response {
    (status, format!("{sentence}\n")).into_response()
}

impl Desk {
    async fn consumers<O>(&self, request: &Request<O>, asked: Result<Asked, Verdict>) -> Response {
        // Whoever decides on half the truth lets in, or keeps out, whom it should not.
        if !self.sync.is_complete() {
            return refuse(StatusCode::SERVICE_UNAVAILABLE, "the operator has not read everything yet; try again");
        }
        let verdict = match asked {
            Ok(Asked::Nothing) => Ok(Verdict::allowed()),
            Ok(Asked::Use(consumer)) => self.judge(&consumer, true).await,
            Ok(Asked::UseOn(consumer)) => self.judge(&consumer, false).await,
            Err(verdict) => Ok(verdict),
        };
        match verdict {
            Ok(verdict) => self.answer("consumers", request, verdict),
            Err(unknown) => refuse(StatusCode::SERVICE_UNAVAILABLE, unknown),
        }
    }

    fn answer<O>(&self, webhook: &'static str, request: &Request<O>, verdict: Verdict) -> Response {
        let result = match &verdict {
            Verdict::Allowed(warnings) if warnings.is_empty() => "allowed",
            Verdict::Allowed(_) => "warned",
            Verdict::Denied(_, message) => {
                let Request { kind, namespace, name, .. } = request;
                tracing::info!(webhook, kind = kind.kind, namespace, name, message, "refused");
                "denied"
            }
        };
        self.metrics.admitted(webhook, result);
        match serde_json::to_vec(&request.answer(verdict)) {
            Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &format!("the answer cannot be written: {error}")),
        }
    }

    /// Whether a consumer may use what it uses. Who does already and does not any more is told, and stays.
    ///
    /// # Errors
    /// Nobody can tell: what was seen is old, and the API server does not answer.
    async fn judge(&self, consumer: &Consumer, is_new: bool) -> Result<Verdict, &'static str> {
        let is_fresh = self.sync.is_fresh();
        let mut warnings: Vec<String> = consumer
            .misspelt
            .iter()
            .map(|label| format!("the label {label} names no component of Timbr: there are api, platform and server"))
            .collect();
        let mut denials = Vec::new();
        for (target, of) in &consumer.uses {
            let (mut decision, mut trust) = self.decide(consumer, *target, of, None);
            // What was applied a moment ago may not have been seen yet.
            if !is_fresh || (!decision.allow && is_new) {
                match self.live(of).await {
                    Some(live) => (decision, trust) = self.decide(consumer, *target, of, Some(&live)),
                    None if !is_fresh => return Err("this replica has seen nothing new for a while; see its /readyz"),
                    None => {}
                }
            }
            if decision.code == Code::AuditOnly || (!decision.allow && !is_new) {
                let use_ = format!("{} of the Timbr in namespace {of}", target.as_str());
                warnings.push(message(&format!("{} uses {use_}: {}", consumer.title, decision.message)));
            } else if !decision.allow {
                denials.push(denial(consumer, *target, of, &decision, &trust));
            }
        }
        Ok(if denials.is_empty() { Verdict::Allowed(warnings) } else { Verdict::Denied(403, denials.join("\n")) })
    }

    /// What the policies of a namespace say of a consumer: those that the watches have seen, or others.
    fn decide(&self, consumer: &Consumer, target: PolicyTarget, of: &str, live: Option<&Live>) -> (Decision, Trust) {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let installations = index.installations(of);
        let access = match live {
            Some(Live { policies, guards }) => {
                let policies = policies.iter().map(|policy| (policy, is_sound(policy)));
                Access::new(&self.settings, of, installations, policies, guards.as_ref())
            }
            None => Access::new(&self.settings, of, installations, index.resources(of), index.guards(of)),
        };
        let decision = decide(&access.trust, target, &access.policies, &Caller::Workload(consumer.workload.clone()));
        (decision, access.trust)
    }

    /// The policies of a namespace and what is recorded of them, asked of the API server now. `None`: it does not tell.
    async fn live(&self, namespace: &str) -> Option<Live> {
        let (policies, guards) = tokio::join!(self.policies(namespace), self.guards(namespace));
        Some(Live { policies: policies?, guards: guards? })
    }

    async fn guards(&self, namespace: &str) -> Option<Option<LiveGuards>> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let found = tokio::time::timeout(ASKING, api.get_metadata_opt(GUARDS_SECRET)).await.ok()?;
        let found = found.inspect_err(|error| {
            tracing::warn!(
                namespace,
                error = describe(error),
                "{GUARDS_SECRET} cannot be read; what was seen last counts"
            );
        });
        Some(found.ok()?.map(|secret| live_guards(&secret.metadata)))
    }

    async fn policies(&self, namespace: &str) -> Option<Vec<Resource<Spec>>> {
        const KIND: Kind = Kind::InboundAccessPolicy;
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &api_resource(KIND));
        let listed = tokio::time::timeout(ASKING, api.list(&ListParams::default())).await.ok()?;
        let listed = listed.inspect_err(|error| {
            tracing::warn!(namespace, error = describe(error), "policies cannot be listed; what was seen last counts");
        });
        let read = |object: DynamicObject| match Object::read(KIND, &object.metadata, &object.data) {
            Object::Resource(resource) => Some(resource),
            Object::Installation(_) => None,
        };
        Some(listed.ok()?.items.into_iter().filter_map(read).collect())
    }

    /// Whether whoever writes a resource may read the Secrets that it names: else the operator would use for them what
    /// they may not have.
    async fn may_read(&self, request: &Request, judged: resources::Judged) -> Verdict {
        let mut refused = Vec::new();
        for secret in &judged.secrets {
            match self.may_read_secret(&request.user_info, &request.namespace, secret).await {
                Ok(true) => {}
                Ok(false) => refused.push(format!(
                    "{} may not read Secret {}/{secret}, which {} {} names; ask somebody who may, or for the right to get it",
                    request.user_info.username.as_deref().unwrap_or("whoever asks"),
                    request.namespace,
                    request.kind.kind,
                    request.name,
                )),
                Err(error) => refused.push(format!(
                    "nobody can tell whether {} may read Secret {}/{secret}: {error}; try again",
                    request.user_info.username.as_deref().unwrap_or("whoever asks"),
                    request.namespace,
                )),
            }
        }
        if refused.is_empty() { Verdict::Allowed(judged.warnings) } else { Verdict::Denied(403, refused.join("\n")) }
    }

    async fn may_read_secret(&self, user: &UserInfo, namespace: &str, secret: &str) -> Result<bool, String> {
        let review = LocalSubjectAccessReview {
            metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                namespace: Some(namespace.to_owned()),
                ..Default::default()
            },
            spec: SubjectAccessReviewSpec {
                user: user.username.clone(),
                groups: user.groups.clone(),
                uid: user.uid.clone(),
                extra: user.extra.clone(),
                resource_attributes: Some(ResourceAttributes {
                    namespace: Some(namespace.to_owned()),
                    verb: Some("get".to_owned()),
                    resource: Some("secrets".to_owned()),
                    name: Some(secret.to_owned()),
                    ..Default::default()
                }),
                ..Default::default()
            },
            ..Default::default()
        };
        let api: Api<LocalSubjectAccessReview> = Api::namespaced(self.client.clone(), namespace);
        let params = PostParams::default();
        let answered = tokio::time::timeout(ASKING, api.create(&params, &review)).await;
        let answer = answered.map_err(|_| "no answer within 2 seconds".to_owned())?;
        let answer = answer.map_err(|error| describe(&error))?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}
