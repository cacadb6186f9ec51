//! Joining a circle by code or link.

use std::net::SocketAddr;
use std::time::Duration;

use api::types::{Join, Joined as ApiJoined};
use api::{ApiError, ApiResult, ErrorCode};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use logic::Misbehaved;
use logic::code::{Channel, Guest, GuestFault, GuestProven, Purpose};
use logic::limits::{GUEST_FRAME, PAIR_FRAME};
use logic::pair::invitation::Ticket;
use logic::pair::{Answer, Application, Joined, Joiner, Refusal};
use logic::wire::Address;
use net::{ConnectError, Goodbye, GuestLink, Network, Stream};
use seal::{DeviceId, Keyring};

use crate::clock;
use crate::desk::{VisitError, next, send};
use crate::errors::internal;
use crate::lan;

/// How long an inviter is given to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two dials, where several devices say that they have the invitation.
const STAGGER: Duration = Duration::from_millis(200);

/// Reads what the user typed.
pub(crate) fn ticket(text: &str) -> ApiResult<Ticket> {
    text.parse().map_err(|e: logic::pair::invitation::BadTicket| {
        ApiError::new(ErrorCode::BadInvitation, e.to_string())
            .hint("a code is four words, such as canvas-tulip-oven-fiscal; a link begins with warren:")
    })
}

/// Finds whoever made the ticket and shakes hands with it as a stranger.
pub(crate) async fn reach(network: &Network, ticket: &Ticket, at: &[String], lan_port: u16) -> ApiResult<GuestLink> {
    let mut candidates: Vec<(DeviceId, Vec<Address>)> = Vec::new();
    let mut named: Vec<SocketAddr> = Vec::new();
    for text in at {
        named.push(text.parse().map_err(|_| {
            ApiError::new(ErrorCode::BadRequest, format!("{text} is no address"))
                .hint("write IP:PORT; `warren status` on the other device shows it")
        })?);
    }
    match ticket {
        // The link says whom to expect: addresses that were named are tried with its own, unless somebody else answers.
        Ticket::Link(link) => {
            let mut addresses = Vec::new();
            for address in named {
                if network.identify(address).await.map_or(true, |device| device == link.device) {
                    addresses.push(Address::Direct(address));
                }
            }
            addresses.extend(link.addresses.iter().cloned());
            candidates.push((link.device, addresses));
        }
        Ticket::Code(_) if !named.is_empty() => {
            let mut silent = None;
            for address in named {
                match network.identify(address).await {
                    Ok(device) => candidates.push((device, vec![Address::Direct(address)])),
                    Err(error) => silent = Some(unreachable_at(&address.to_string(), &error)),
                }
            }
            if let Some(error) = silent.filter(|_| candidates.is_empty()) {
                return Err(error);
            }
        }
        Ticket::Code(code) => {
            let hints = lan::ask(lan_port, code.nameplate()).await;
            candidates.extend(hints);
            if candidates.is_empty() {
                return Err(ApiError::new(ErrorCode::Unreachable, "nobody on this network has an invitation that begins with that word")
                    .hint("is the other device up and on the same network? Else use the link, or name its address: --at IP:PORT"));
            }
        }
    }
    first_of(network, &candidates).await.map_err(|error| match error {
        None => internal("no address to try"),
        // Strangers are let in only while something is open for them.
        Some(ConnectError::Closed(Goodbye::Refused)) => {
            ApiError::new(ErrorCode::BadInvitation, "the other device has no open invitation or code")
                .hint("it was used, revoked or burned by a wrong guess, or it expired: ask for a new one")
        }
        Some(error) => unreachable_at("the inviter's addresses", &error),
    })
}

/// Dials everybody, one a little after the other; the first to let us in is taken. The code is then tried there and
/// nowhere else: a mistyped code that is tried at each would end the invitation of each.
async fn first_of(
    network: &Network,
    candidates: &[(DeviceId, Vec<Address>)],
) -> Result<GuestLink, Option<ConnectError>> {
    let mut dials: FuturesUnordered<_> = (0..)
        .zip(candidates)
        .map(|(before, (device, addresses))| async move {
            tokio::time::sleep(STAGGER * before).await;
            network.connect_guest(*device, addresses, PATIENCE).await
        })
        .collect();
    let mut worst = None;
    while let Some(dialled) = dials.next().await {
        match (dialled, &worst) {
            (Ok(guest), _) => return Ok(guest),
            // It tells most.
            (Err(_), Some(ConnectError::Closed(Goodbye::Refused))) => {}
            (Err(error), _) => worst = Some(error),
        }
    }
    Err(worst)
}

fn unreachable_at(place: &str, error: &ConnectError) -> ApiError {
    ApiError::new(ErrorCode::Unreachable, format!("nobody could be reached at {place}: {error}"))
        .hint("is the other device up (`warren status` there), and does a firewall let UDP and TCP through? Another address can be named with --at IP:PORT")
}

/// Proves the code to whoever made it, and has it prove the same.
pub(crate) async fn prove(
    local: DeviceId,
    guest: &GuestLink,
    stream: &mut Stream,
    ticket: &Ticket,
    purpose: Purpose,
) -> ApiResult<GuestProven> {
    let exchange = async {
        let channel = Channel { exporter: guest.exporter(), local, remote: guest.remote() };
        let (knocked, frame) = Guest::knock(channel, purpose, ticket);
        send(stream, &frame).await.map_err(lost)?;
        let (confirming, frame) = knocked.confirm(&next(stream, GUEST_FRAME).await.map_err(visit)?).map_err(fault)?;
        send(stream, &frame).await.map_err(lost)?;
        confirming.finish(&next(stream, GUEST_FRAME).await.map_err(visit)?).map_err(fault)
    };
    tokio::time::timeout(PATIENCE, exchange).await.map_err(|_| silent())?
}

/// The inviter's next message. It decides without asking anybody, so it has no reason to be slow.
async fn answer(stream: &mut Stream) -> ApiResult<Vec<u8>> {
    tokio::time::timeout(PATIENCE, next(stream, PAIR_FRAME)).await.map_err(|_| silent())?.map_err(visit)
}

fn silent() -> ApiError {
    ApiError::new(ErrorCode::Unreachable, "the other side does not answer")
}

fn lost(error: std::io::Error) -> ApiError {
    ApiError::new(ErrorCode::Unreachable, format!("the connection was lost: {error}"))
        .hint("try again; the code may still be good")
}

fn visit(error: VisitError) -> ApiError {
    ApiError::new(ErrorCode::Unreachable, format!("the other side ended the conversation: {error}"))
        .hint("is the code right, and not used or expired? `warren invites` on the other device tells")
}

fn fault(error: GuestFault) -> ApiError {
    let message = error.to_string();
    match error {
        GuestFault::Refused => ApiError::new(ErrorCode::BadInvitation, message).hint("ask for a new code"),
        GuestFault::Misbehaved(Misbehaved::WrongCode) => ApiError::new(
            ErrorCode::BadInvitation,
            "the other side does not know this code: it is mistyped, or somebody sits between",
        )
        .hint("ask for a new code, or use the link"),
        GuestFault::Misbehaved(_) => ApiError::new(ErrorCode::Refused, message),
    }
}

/// Joins over a network that is open already. `keep` stores what that brings, before the inviter books the new member:
/// a joiner that is killed then is a member and knows it. The other way round there could be a member without a device.
pub(crate) async fn join(
    network: &Network,
    keyring: &Keyring,
    request: &Join,
    lan_port: u16,
    keep: impl FnOnce(&Joined) -> ApiResult<()> + Send,
) -> ApiResult<Joined> {
    for name in [&request.name, &request.device] {
        seal::pki::valid_name(name)
            .map_err(|e| ApiError::new(ErrorCode::BadRequest, format!("{name:?} is no name: {e}")))?;
    }
    let ticket = ticket(&request.invitation)?;
    let circle = match &ticket {
        Ticket::Link(link) if link.circle.is_none() => {
            return Err(ApiError::new(
                ErrorCode::BadInvitation,
                "this link is for receiving files, not for joining a circle",
            )
            .hint("use it with `warren receive`"));
        }
        Ticket::Link(link) => link.circle,
        Ticket::Code(_) => None,
    };
    let member = keyring.member.as_ref().ok_or_else(|| internal("the keystore has no member key"))?;
    let guest = reach(network, &ticket, &request.at, lan_port).await?;
    let mut stream = guest.open().await.map_err(lost)?;
    crate::desk::knock(&mut stream).await.map_err(lost)?;
    let proven = prove(network.id(), &guest, &mut stream, &ticket, Purpose::Join).await?;
    let recipient = keyring.seal.recipient();
    let application = Application {
        name: &request.name,
        device_name: &request.device,
        member,
        device: &keyring.device,
        recipient: &recipient,
    };
    let joiner = Joiner::new(proven, circle).map_err(|_| internal("the proof is for something else"))?;
    let rule = |e: Misbehaved| ApiError::new(ErrorCode::Refused, format!("the inviter broke the rules: {e}"));
    let (asked, frame) = joiner.ask(&application).map_err(internal)?;
    send(&mut stream, &frame).await.map_err(lost)?;
    let welcomed = match asked.answered(&answer(&mut stream).await?, clock::now()).map_err(rule)? {
        Answer::Welcome(welcomed) => welcomed,
        Answer::Again(_) => {
            return Err(ApiError::new(
                ErrorCode::Exists,
                format!("somebody in the circle is called {} already, or looks so", request.name),
            )
            .hint("join with another --name; the invitation is still good"));
        }
        Answer::Refused(refusal) => return Err(refused(refusal)),
    };
    let (settled, frame) = welcomed
        .settle(&application, Vec::new(), clock::now())
        .map_err(|e| ApiError::new(ErrorCode::Refused, e.to_string()))?;
    let joined = settled.joined().clone();
    keep(&joined)?;
    let told = async {
        send(&mut stream, &frame).await.map_err(lost)?;
        settled.finish(&answer(&mut stream).await?).map_err(rule)
    };
    if let Err(error) = told.await {
        tracing::warn!(error = %error.message, "the inviter may hear of this device only at their first link");
    }
    guest.close(Goodbye::Leaving);
    Ok(joined)
}

fn refused(refusal: Refusal) -> ApiError {
    let error = ApiError::new(ErrorCode::BadInvitation, refusal.to_string());
    match refusal {
        Refusal::NameTaken => error,
        Refusal::InvitationOver => error.hint("ask for a new invitation"),
        Refusal::Unable => error.hint("ask another admin of the circle"),
    }
}

/// What joining brought, as the API says it.
pub(crate) fn shown(joined: &Joined) -> ApiJoined {
    let facts = joined.certificate.facts();
    let role = match facts.kind {
        seal::pki::Kind::Member(role) => role.to_string(),
        _ => String::new(),
    };
    ApiJoined {
        circle: joined.roster.circle_name().to_owned(),
        circle_id: joined.roster.circle().to_string(),
        name: facts.name.clone(),
        role,
        inviter: joined.inviter.clone(),
        safety_words: joined.safety_words.clone(),
    }
}
