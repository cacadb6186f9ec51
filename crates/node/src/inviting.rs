//! Invitations as the API shows them.

use std::time::Duration;

use api::types::{Invitation as ApiInvitation, InvitationInfo, Invite};
use api::{ApiError, ApiResult, ErrorCode};
use logic::audit::Event;
use logic::pair::invitation::{Aim, Invitation};
use seal::pki::Role;

use crate::clock;
use crate::desk;
use crate::errors::database;
use crate::running::Running;
use crate::transfers::ID_MIN;

/// Longest time that an invitation may stay open.
const MAX_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Most who may join with one invitation.
const MAX_USES: u32 = 100;

impl Running {
    /// Makes an invitation.
    pub(crate) fn invite(&self, request: &Invite) -> ApiResult<ApiInvitation> {
        self.circle_now()?;
        if !self.circle.can_admit() {
            return Err(crate::circle::CircleError::NotAdmin.into());
        }
        let role: Role = request.role.parse().map_err(|_| {
            ApiError::new(ErrorCode::BadRequest, format!("{} is no role", request.role))
                .hint("roles are admin, editor, reader and storage")
        })?;
        let life = Duration::from_secs(request.expires_s);
        if life.is_zero() || life > MAX_LIFE {
            return Err(ApiError::new(ErrorCode::BadRequest, "an invitation stays open for 1 second to 30 days"));
        }
        if request.uses == 0 || request.uses > MAX_USES {
            return Err(ApiError::new(
                ErrorCode::BadRequest,
                format!("an invitation can be used 1 to {MAX_USES} times"),
            ));
        }
        let circle = self.circle.read(logic::roster::Roster::circle)?;
        let link = desk::link(self.circle.device(), self.network.addresses(), Some(circle));
        let fresh =
            self.desk.make(Aim::Join { role }, clock::now().plus(life), request.uses, link).map_err(database)?;
        let fresh = fresh.ok_or_else(|| {
            ApiError::new(ErrorCode::NotAllowed, "too many invitations are open")
                .hint("`warren invites` lists them; `warren invite --revoke ID` ends one")
        })?;
        self.journal.note(Event::InvitationMade {
            invitation: fresh.id.to_string(),
            role: role.to_string(),
            expires_at: fresh.expires_at,
            uses: request.uses,
        });
        Ok(ApiInvitation {
            id: fresh.id.to_string(),
            code: fresh.code,
            link: fresh.link,
            role: role.to_string(),
            expires_at: fresh.expires_at.0,
            uses: request.uses,
        })
    }

    /// Lists invitations, without secrets.
    pub(crate) fn invitations(&self) -> Vec<InvitationInfo> {
        self.desk.list().iter().map(shown).collect()
    }

    /// Ends an invitation.
    pub(crate) fn revoke_invitation(&self, id: &str) -> ApiResult<InvitationInfo> {
        if id.len() < ID_MIN {
            let message = format!("`{id}` is too short for an id: give at least {ID_MIN} characters of it");
            return Err(ApiError::new(ErrorCode::BadRequest, message).hint("`warren invites` lists them"));
        }
        let all = self.desk.list();
        let wanted = id.to_lowercase();
        let hits: Vec<_> = all.iter().filter(|invitation| invitation.id.to_string().starts_with(&wanted)).collect();
        let [invitation] = hits.as_slice() else {
            let (code, message) = if hits.is_empty() {
                (ErrorCode::NotFound, "there is no invitation")
            } else {
                (ErrorCode::BadRequest, "there are several invitations")
            };
            return Err(
                ApiError::new(code, format!("{message} whose id begins with {id}")).hint("`warren invites` lists them")
            );
        };
        if self.desk.revoke(invitation.id).map_err(database)? {
            self.journal.note(Event::InvitationRevoked { invitation: invitation.id.to_string() });
        }
        let after = self.desk.list().into_iter().find(|now| now.id == invitation.id);
        Ok(shown(after.as_ref().unwrap_or(invitation)))
    }
}

fn shown(invitation: &Invitation) -> InvitationInfo {
    let role = match invitation.aim {
        Aim::Join { role } => role.to_string(),
        Aim::Get { .. } => "guest".to_owned(),
    };
    InvitationInfo {
        id: invitation.id.to_string(),
        role,
        state: invitation.state(clock::now()).as_str().into(),
        created_at: invitation.created_at.0,
        expires_at: invitation.expires_at.0,
        uses_left: invitation.uses_left,
        joined: invitation.joined.clone(),
    }
}
