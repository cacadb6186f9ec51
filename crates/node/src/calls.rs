//! Every call of the API, and who answers it.

use std::path::Path;

use api::types::{Limit, Nothing, Recipient, SetSetting, Settings as ApiSettings};
use api::{ApiError, ApiResult, ErrorCode, Reply, Request};
use logic::audit::Event;

use crate::device::Device;
use crate::errors::{blocking, database};
use crate::running::Running;
use crate::{configuration, files, sending, spaces};

/// Answers one call.
pub(crate) async fn answer(device: &Device, request: Request) -> ApiResult<Reply> {
    Ok(match request {
        Request::Status(_) => Reply::Status(device.status().await?),
        Request::Lock(_) => {
            device.lock().await?;
            Reply::Lock(Nothing {})
        }
        Request::Unlock(request) => {
            device.unlock(&request.passphrase).await?;
            Reply::Unlock(Nothing {})
        }
        Request::ChangePassphrase(request) => {
            device.change_passphrase(&request.old, &request.new).await?;
            Reply::ChangePassphrase(Nothing {})
        }
        Request::Shutdown(_) => {
            device.ask_to_stop();
            Reply::Shutdown(Nothing {})
        }
        Request::Settings(_) => Reply::Settings(settings(device, None).await?),
        Request::SetSetting(change) => Reply::SetSetting(settings(device, Some(change)).await?),
        // The limit of all sending together is a setting, so that it holds after a restart as well.
        Request::LimitTransfer(Limit { id: None, rate_limit }) => {
            device.running().await?;
            let value = rate_limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string());
            settings(device, Some(SetSetting { key: "rate_limit".into(), value })).await?;
            Reply::LimitTransfer(Nothing {})
        }
        // What was sealed under a passphrase needs no key of this device.
        Request::Decrypt(request) => {
            let (path, running) = (request.input.clone(), device.running().await);
            let identity = match &running {
                Ok(running) => Ok(running.keyring.seal.clone()),
                Err(locked) => Err(locked.clone()),
            };
            let opened = blocking(move || files::open_file(&request, identity)).await?;
            if let Ok(running) = running {
                running.journal.note(Event::FileDecrypted { path });
            }
            Reply::Decrypt(opened)
        }
        other => return unlocked(&*device.running().await?, other).await,
    })
}

/// Calls that need the keys.
async fn unlocked(running: &Running, request: Request) -> ApiResult<Reply> {
    Ok(match request {
        Request::Invite(request) => Reply::Invite(running.invite(&request)?),
        Request::Invitations(_) => Reply::Invitations(running.invitations()),
        Request::RevokeInvitation(request) => Reply::RevokeInvitation(running.revoke_invitation(&request.id)?),
        Request::Join(request) => Reply::Join(running.join(request).await?),
        Request::Peers(request) => Reply::Peers(running.peers(&request)?),
        Request::Peer(request) => Reply::Peer(running.peer(&request)?),
        Request::AddPeer(request) => Reply::AddPeer(running.add_peer(&request).await?),
        Request::VerifyPeer(request) => Reply::VerifyPeer(running.verify(&request)?),
        Request::BlockPeer(request) => Reply::BlockPeer(running.block(&request, true)?),
        Request::UnblockPeer(request) => Reply::UnblockPeer(running.block(&request, false)?),
        Request::RemovePeer(request) => {
            running.remove(&request)?;
            Reply::RemovePeer(Nothing {})
        }
        Request::RenamePeer(request) => Reply::RenamePeer(running.rename(&request)?),
        Request::AcceptRule(request) => Reply::AcceptRule(running.accept_rule(&request)?),
        Request::Certificates(request) => Reply::Certificates(running.certificates(&request)?),
        Request::VerifyCertificate(request) => Reply::VerifyCertificate(running.verify_certificate(&request)?),
        Request::Encrypt(request) => {
            let readers = running.readers(&request)?;
            let (path, to) = (request.input.clone(), (!request.to.is_empty()).then(|| request.to.join(", ")));
            let sealed = blocking(move || files::seal_file(&request, readers)).await?;
            running.journal.note(Event::FileEncrypted { path, to });
            Reply::Encrypt(sealed)
        }
        Request::Recipients(request) => {
            let readers = running.recipients(&request.to)?;
            running.journal.note(Event::FileEncrypted { path: request.path, to: Some(request.to.join(", ")) });
            let shown =
                |(name, recipient): (String, seal::SealRecipient)| Recipient { name, recipient: recipient.into() };
            Reply::Recipients(readers.into_iter().map(shown).collect())
        }
        Request::FileKey(request) => {
            let key = files::key_of(&request, &running.keyring.seal)?;
            running.journal.note(Event::FileDecrypted { path: request.path });
            Reply::FileKey(key)
        }
        Request::Log(query) => {
            let journal = running.journal.clone();
            Reply::Log(blocking(move || journal.entries(&query).map_err(database)).await?)
        }
        Request::CodeSend(_) | Request::CodeReceive(_) => {
            return Err(ApiError::new(
                ErrorCode::BadRequest,
                "one-time codes are served by a passing device, not by this one",
            ));
        }
        about_transfers => return transfers(running, about_transfers).await,
    })
}

/// Calls about transfers.
async fn transfers(running: &Running, request: Request) -> ApiResult<Reply> {
    let transfers = &running.transfers;
    Ok(match request {
        Request::Send(request) => Reply::Send(running.send(request).await?),
        Request::Transfers(query) => Reply::Transfers(sending::list(transfers, &query)?),
        Request::PauseTransfer(request) => Reply::PauseTransfer(transfers.pause(&request.id)?),
        Request::ResumeTransfer(request) => Reply::ResumeTransfer(transfers.resume(&request.id)?),
        Request::CancelTransfer(request) => Reply::CancelTransfer(transfers.cancel(&request.id)?),
        Request::LimitTransfer(request) => {
            sending::limit(transfers, &request)?;
            Reply::LimitTransfer(Nothing {})
        }
        Request::AcceptOffer(request) => {
            let transfers = transfers.clone();
            let accept = move || Ok(transfers.accept(&request.id, request.to.as_deref().map(Path::new))?);
            Reply::AcceptOffer(blocking(accept).await?)
        }
        Request::RejectOffer(request) => Reply::RejectOffer(transfers.reject(&request.id)?),
        about_spaces => return spaces::answer(running, about_spaces).await,
    })
}

/// Lists the settings after changing one if `change` says so; a running device takes on what it can at once.
async fn settings(device: &Device, change: Option<SetSetting>) -> ApiResult<ApiSettings> {
    let (home, changed) = (device.home.clone(), change.clone());
    let settings = blocking(move || configuration::change(&home, changed)).await?;
    if let (Some(change), Ok(running)) = (change, device.running().await) {
        running.take_settings(&settings);
        running
            .journal
            .note(Event::SettingChanged { value: settings.get(&change.key).unwrap_or_default(), key: change.key });
    }
    Ok(configuration::shown(&settings))
}
