//! Serves the kernel's requests.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem,
    FopenFlags, Generation, INodeNo, KernelConfig, LockOwner, MountOption, OpenFlags, RenameFlags,
    ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags, spawn_mount,
};

use crate::failure::{How, Ignored, What};
use crate::names::Number;
use crate::state::{File, State};

/// All changes go through the kernel, so what it knows stays true.
const FOR_EVER: Duration = Duration::from_secs(1 << 20);

/// The kernel has looked a missing name up before it creates it.
const NOT_AT_ALL: Duration = Duration::ZERO;

const BLOCK: u32 = 4_096;

/// How large the disk says that it is.
const BLOCKS: u64 = 1 << 20;

/// `FALLOC_FL_KEEP_SIZE`, `FALLOC_FL_PUNCH_HOLE` and `FALLOC_FL_ZERO_RANGE`.
const KEEP_SIZE: i32 = 0x01;
const PUNCH_HOLE: i32 = 0x02;
const ZERO_RANGE: i32 = 0x10;

pub(crate) fn mount(state: Arc<Mutex<State>>, place: &Path) -> io::Result<BackgroundSession> {
    let mut config = Config::default();
    let name = MountOption::FSName("power-loss".into());
    config.mount_options = vec![name, MountOption::DefaultPermissions, MountOption::NoAtime];
    let owner = std::os::unix::fs::MetadataExt::uid(&place.metadata()?);
    let group = std::os::unix::fs::MetadataExt::gid(&place.metadata()?);
    spawn_mount(Served { state, owner, group, since: SystemTime::now() }, place, &config)
}

struct Served {
    state: Arc<Mutex<State>>,
    owner: u32,
    group: u32,
    since: SystemTime,
}

impl Served {
    /// What is known, if there is power.
    fn state(&self) -> Result<MutexGuard<'_, State>, Errno> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.has_power { Ok(state) } else { Err(Errno::EIO) }
    }

    fn attributes(&self, number: Number, file: &File) -> FileAttr {
        let size = file.content.now().len() as u64;
        FileAttr {
            ino: INodeNo(number),
            size,
            blocks: size.div_ceil(512),
            atime: file.changed,
            mtime: file.changed,
            ctime: file.changed,
            crtime: file.changed,
            kind: FileType::RegularFile,
            perm: file.permissions,
            nlink: 1,
            uid: self.owner,
            gid: self.group,
            rdev: 0,
            blksize: BLOCK,
            flags: 0,
        }
    }

    fn folder(&self) -> FileAttr {
        FileAttr {
            ino: INodeNo::ROOT,
            size: 0,
            blocks: 0,
            atime: self.since,
            mtime: self.since,
            ctime: self.since,
            crtime: self.since,
            kind: FileType::Directory,
            perm: 0o700,
            nlink: 2,
            uid: self.owner,
            gid: self.group,
            rdev: 0,
            blksize: BLOCK,
            flags: 0,
        }
    }

    fn look(&self, number: INodeNo) -> Result<FileAttr, Errno> {
        if number == INodeNo::ROOT {
            return Ok(self.folder());
        }
        let state = self.state()?;
        let file = state.disk.files.get(&number.0).ok_or(Errno::ENOENT)?;
        let nlink = u32::from(state.disk.names.now().values().any(|named| *named == number.0));
        Ok(FileAttr { nlink, ..self.attributes(number.0, file) })
    }

    fn find(&self, name: &OsStr) -> Result<FileAttr, Errno> {
        let state = self.state()?;
        let number = state.disk.names.get(name).ok_or(Errno::ENOENT)?;
        let file = state.disk.files.get(&number).ok_or(Errno::ENOENT)?;
        Ok(self.attributes(number, file))
    }

    fn create_file(&self, name: &OsStr, mode: u32) -> Result<(FileAttr, FileHandle), Errno> {
        let mut state = self.state()?;
        if state.disk.names.get(name).is_some() {
            return Err(Errno::EEXIST);
        }
        state.changes();
        let number = state.create(name, permissions(mode));
        let handle = state.open(number).ok_or(Errno::EIO)?;
        let file = state.disk.files.get(&number).ok_or(Errno::EIO)?;
        Ok((self.attributes(number, file), FileHandle(handle)))
    }

    fn open_file(&self, number: Number) -> Result<FileHandle, Errno> {
        let mut state = self.state()?;
        state.open(number).map(FileHandle).ok_or(Errno::ENOENT)
    }

    fn read_file(&self, number: Number, offset: u64, size: u32) -> Result<Vec<u8>, Errno> {
        let state = self.state()?;
        let bytes = state.disk.files.get(&number).ok_or(Errno::ENOENT)?.content.now();
        let start = place(offset)?.min(bytes.len());
        let end = (start + size as usize).min(bytes.len());
        Ok(bytes[start..end].to_vec())
    }

    /// Writes the bytes, or a part of them if the disk fails so.
    fn write_file(&self, number: Number, offset: u64, bytes: &[u8]) -> Result<u32, Errno> {
        let mut state = self.state()?;
        state.changes();
        let bytes = match state.failure(What::Writes) {
            None => bytes,
            Some(How::Broken) => return Err(Errno::EIO),
            Some(How::Full) => return Err(Errno::ENOSPC),
            Some(How::Short) => &bytes[..bytes.len() / 2],
        };
        let file = state.disk.files.get_mut(&number).ok_or(Errno::ENOENT)?;
        file.content.write(place(offset)?, bytes);
        file.changed = SystemTime::now();
        u32::try_from(bytes.len()).map_err(|_| Errno::EINVAL)
    }

    /// Lets `change` change a file without new bytes.
    fn change_file(
        &self,
        number: Number,
        change: impl FnOnce(&mut File) -> Result<(), Errno>,
    ) -> Result<FileAttr, Errno> {
        let mut state = self.state()?;
        state.changes();
        match state.failure(What::Writes) {
            None => {}
            Some(How::Broken) => return Err(Errno::EIO),
            Some(How::Full | How::Short) => return Err(Errno::ENOSPC),
        }
        let file = state.disk.files.get_mut(&number).ok_or(Errno::ENOENT)?;
        change(file)?;
        file.changed = SystemTime::now();
        Ok(self.attributes(number, file))
    }

    fn sync_file(&self, number: Number, handle: FileHandle) -> Result<(), Errno> {
        let mut state = self.state()?;
        state.changes();
        let failure = state.failure(What::Syncs);
        let ignored = state.ignored;
        let file = state.disk.files.get_mut(&number).ok_or(Errno::ENOENT)?;
        match failure {
            None if ignored == Some(Ignored::Files) => {}
            None => file.content.sync(),
            Some(_) => {
                file.content.lose();
                file.failed_syncs += 1;
            }
        }
        let told = file.opened.entry(handle.0).or_default();
        let is_new = *told < file.failed_syncs;
        *told = file.failed_syncs;
        match failure {
            Some(how) => Err(error_of_sync(how)),
            None if is_new => Err(Errno::EIO),
            None => Ok(()),
        }
    }

    fn sync_folder(&self) -> Result<(), Errno> {
        let mut state = self.state()?;
        state.changes();
        if let Some(how) = state.failure(What::Syncs) {
            return Err(error_of_sync(how));
        }
        if state.ignored != Some(Ignored::Folder) {
            state.disk.names.sync();
            state.forget_unreachable();
        }
        Ok(())
    }

    fn remove(&self, name: &OsStr) -> Result<(), Errno> {
        let mut state = self.state()?;
        let number = state.disk.names.get(name).ok_or(Errno::ENOENT)?;
        state.changes();
        state.disk.names.set(name, None);
        state.forget(number);
        Ok(())
    }

    fn rename_file(&self, from: &OsStr, to: &OsStr, flags: RenameFlags) -> Result<(), Errno> {
        let mut state = self.state()?;
        if !RenameFlags::RENAME_NOREPLACE.contains(flags) {
            return Err(Errno::EINVAL);
        }
        if state.disk.names.get(from).is_none() {
            return Err(Errno::ENOENT);
        }
        let replaced = state.disk.names.get(to);
        if replaced.is_some() && flags.contains(RenameFlags::RENAME_NOREPLACE) {
            return Err(Errno::EEXIST);
        }
        state.changes();
        state.disk.names.rename(from, to);
        if let Some(replaced) = replaced {
            state.forget(replaced);
        }
        Ok(())
    }
}

fn place(offset: u64) -> Result<usize, Errno> {
    usize::try_from(offset).map_err(|_| Errno::EFBIG)
}

fn permissions(mode: u32) -> u16 {
    u16::try_from(mode & 0o7777).unwrap_or(0o600)
}

fn error_of_sync(how: How) -> Errno {
    match how {
        How::Full => Errno::ENOSPC,
        How::Broken | How::Short => Errno::EIO,
    }
}

impl Filesystem for Served {
    fn init(&mut self, _: &Request, _: &mut KernelConfig) -> io::Result<()> {
        // Without more flags the kernel writes through its cache, and keeps the locks itself.
        Ok(())
    }

    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.find(name) {
            Ok(found) => {
                reply.entry_with_ttls(&FOR_EVER, &FOR_EVER, &found, Generation(0));
            }
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.look(number) {
            Ok(found) => reply.attr(&NOT_AT_ALL, &found),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let changed = if number == INodeNo::ROOT || (mode.is_none() && size.is_none()) {
            self.look(number)
        } else {
            self.change_file(number.0, |file| {
                if let Some(mode) = mode {
                    file.permissions = permissions(mode);
                }
                if let Some(size) = size {
                    file.content.set_length(place(size)?);
                }
                Ok(())
            })
        };
        match changed {
            Ok(found) => reply.attr(&NOT_AT_ALL, &found),
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(self.remove(name), reply);
    }

    fn rename(
        &self,
        _: &Request,
        _: INodeNo,
        name: &OsStr,
        _: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        answer(self.rename_file(name, new_name, flags), reply);
    }

    fn create(
        &self,
        _: &Request,
        _: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        match self.create_file(name, mode & !umask) {
            Ok((entry, handle)) => {
                let flags = FopenFlags::FOPEN_KEEP_CACHE;
                reply.created(&FOR_EVER, &entry, Generation(0), handle, flags);
            }
            Err(error) => reply.error(error),
        }
    }

    fn open(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.open_file(number.0) {
            // What the kernel has in its cache stays true.
            Ok(handle) => reply.opened(handle, FopenFlags::FOPEN_KEEP_CACHE),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.read_file(number.0, offset, size) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.write_file(number.0, offset, data) {
            Ok(count) => reply.written(count),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        let closed = self.state().map(|mut state| {
            if let Some(file) = state.disk.files.get_mut(&number.0) {
                file.opened.remove(&handle.0);
            }
            state.forget(number.0);
        });
        answer(closed, reply);
    }

    fn fsync(&self, _: &Request, number: INodeNo, handle: FileHandle, _: bool, reply: ReplyEmpty) {
        answer(self.sync_file(number.0, handle), reply);
    }

    fn readdir(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let state = match self.state() {
            Ok(state) => state,
            Err(error) => return reply.error(error),
        };
        let dots = [(OsStr::new("."), 1), (OsStr::new(".."), 1)];
        let files = state.disk.names.now().iter().map(|(name, file)| (name.as_os_str(), *file));
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        for (at, (name, number)) in dots.into_iter().chain(files).enumerate().skip(skipped) {
            let kind = if at < 2 { FileType::Directory } else { FileType::RegularFile };
            if reply.add(INodeNo(number), at as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer(self.sync_folder(), reply);
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCK, 255, BLOCK);
    }

    fn fallocate(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let may_grow = mode & KEEP_SIZE == 0;
        let changed = self.change_file(number.0, |file| {
            let range = place(offset)?..place(offset + length)?;
            match mode & !KEEP_SIZE {
                0 if may_grow => file.content.reach(range.end),
                0 => {}
                PUNCH_HOLE | ZERO_RANGE => file.content.zero(range, may_grow),
                _ => return Err(Errno::EOPNOTSUPP),
            }
            Ok(())
        });
        answer(changed.map(|_| ()), reply);
    }
}

fn answer(outcome: Result<(), Errno>, reply: ReplyEmpty) {
    match outcome {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}
