package Sarang::Account;
# The desktop's own account, the one with uid 1000. A person is put on the desktop by giving it their name, password and SSH
# keys: programs that run go on, since they belong to the number. All is checked before anything is written; each file is
# replaced in one rename; nothing is run. Giving the same again changes nothing.
use strict;
use warnings;
use Fcntl qw(:DEFAULT);

our $ROOT = '';
our $LOCKED = '!';
my $UID = 1000;
my $LOCK_WAIT_S = 15;

my %CHECK = (
  user => [qr/^[a-z_][a-z0-9_-]{0,31}$/, 'a login name: a-z, 0-9, _ and -, at most 32'],
  name => [qr/^[^\x00-\x1f\x7f:]{1,128}$/, 'a display name: no control character or colon, at most 128 bytes'],
  password_hash => [qr/^\$[0-9a-z]+\$[\x21-\x39\x3b-\x7e]{1,250}$/, 'a crypt(5) hash'],
  ssh_key => [qr/^(?:ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+\/]+={0,3}(?: [^\x00-\x1f\x7f]{0,200})?$/, 'an OpenSSH public key'],
  lang => [qr/^[A-Za-z0-9_.@-]{1,40}$/, 'a locale'],
);

# Dies with what is wrong with a value of this kind.
sub check {
  my ($kind, $value) = @_;
  my ($shape, $what) = @{ $CHECK{$kind} };
  die "$kind is not $what\n" if $value !~ $shape || $value =~ /\n/;
  die "$kind holds a mark that turns or hides text\n" if is_misleading($value);
}

# Not UTF-8, or with marks of direction or no width, which make a name read as another.
sub is_misleading {
  my ($text) = @_;
  return 1 unless utf8::decode($text);
  return $text =~ /[\x{80}-\x{9f}\x{200b}-\x{200f}\x{2028}-\x{202e}\x{2060}-\x{2069}\x{feff}]/;
}

sub has_locale {
  my ($lang) = @_;
  return 1 if $lang =~ /^(C|POSIX|C\.UTF-8)$/;
  return scalar grep { /^\Q$lang\E\s/ } @{ lines('/etc/locale.gen') };
}

# (user, name, uid, gid, home) of the account as it stands.
sub current {
  for (@{ lines('/etc/passwd') }) {
    my @field = split /:/;
    next unless $field[2] eq $UID;
    return { user => $field[0], name => $field[4] =~ s/,.*//r, uid => $UID, gid => $field[3], home => $field[5] };
  }
  die "no account has the number $UID\n";
}

# want: { user, name, password_hash, ssh_keys => [...], lang }, each optional. Returns the account as current() does. The
# caller holds the lock.
sub apply {
  my ($want) = @_;
  my $is = current();
  my $user = $want->{user} // $is->{user};
  rename_account($is, $user) if $user ne $is->{user};
  edit('/etc/passwd', sub { $_[0][4] = full_name($want->{name}) if $_[0][2] eq $UID }) if defined $want->{name};
  set_password($user, $want->{password_hash}) if defined $want->{password_hash};
  set_language($want->{lang}) if defined $want->{lang};
  $is = current();
  write_keys($is, $want->{ssh_keys}) if $want->{ssh_keys};
  return $is;
}

# A person whose language this machine lacks gets a desktop in its own, rather than none.
sub set_language {
  my ($lang) = @_;
  return write_file('/etc/default/locale', "LANG=$lang\n") if has_locale($lang);
  print STDERR "no locale $lang on this machine: its own language stays\n";
}

# a comma would begin the next part of the field: room, telephone
sub full_name { return $_[0] =~ s/\s*,\s*/ /gr }

sub rename_account {
  my ($is, $user) = @_;
  my ($old, $home) = ($is->{user}, "/home/$user");
  die "$user is another account of this machine\n" if grep { /^\Q$user\E:/ } @{ lines('/etc/passwd') }, @{ lines('/etc/group') };
  die "$home is there already\n" if -e "$ROOT$home" && !-l "$ROOT$home";
  edit('/etc/passwd', sub { @{ $_[0] }[0, 5] = ($user, $home) if $_[0][2] eq $UID });
  edit($_, sub { $_[0][0] = $user if $_[0][0] eq $old }) for '/etc/shadow', '/etc/subuid', '/etc/subgid';
  edit($_, sub { rename_member($_[0], $old, $user) }) for '/etc/group', '/etc/gshadow';
  # what runs knows the old path: it stays as a link
  unlink "$ROOT$home";
  rename "$ROOT$is->{home}", "$ROOT$home" or die "$is->{home}: $!\n";
  symlink $user, "$ROOT$is->{home}";
}

# a line of group or gshadow: its name, and its members in the last field
sub rename_member {
  my ($field, $old, $user) = @_;
  $field->[0] = $user if $field->[0] eq $old;
  $field->[3] = join ',', map { $_ eq $old ? $user : $_ } split /,/, $field->[3];
}

sub set_password {
  my ($user, $hash) = @_;
  edit('/etc/shadow', sub { @{ $_[0] }[1, 2] = ($hash, int(time / 86400)) if $_[0][0] eq $user && $_[0][1] ne $hash });
}

# with the account's own rights: in a home that has been used, ~/.ssh may lead anywhere
sub write_keys {
  my ($is, $keys) = @_;
  my ($egid, $euid) = ($), $>);
  if ($euid == 0) { $) = "$is->{gid} $is->{gid}"; $> = $is->{uid} }
  my $done = eval {
    my $folder = "$ROOT$is->{home}/.ssh";
    mkdir $folder, 0700;
    write_file("$is->{home}/.ssh/authorized_keys", join('', map { "$_\n" } @$keys), 0600);
    1;
  };
  my $why = $@;
  if ($euid == 0) { $> = $euid; $) = $egid }
  die $why unless $done;
}

# The lock of lckpwdf(3), which useradd and passwd take too; it is held as long as the returned file is.
sub lock_accounts {
  sysopen my $lock, "$ROOT/etc/.pwd.lock", O_WRONLY | O_CREAT, 0600 or die "/etc/.pwd.lock: $!\n";
  local $SIG{ALRM} = sub { die "the account files are locked\n" };
  alarm $LOCK_WAIT_S;
  my $whole_file = pack 's s x4 q q i x4', F_WRLCK, 0, 0, 0, 0;
  fcntl $lock, F_SETLKW, $whole_file or die "/etc/.pwd.lock: $!\n";
  alarm 0;
  return $lock;
}

sub lines {
  my ($path) = @_;
  open my $file, '<', "$ROOT$path" or return [];
  chomp(my @lines = <$file>);
  return \@lines;
}

# Lets `change` alter the fields of each line, and replaces the file if anything is other than before.
sub edit {
  my ($path, $change) = @_;
  my $before = join '', map { "$_\n" } @{ lines($path) };
  my $after = '';
  for (@{ lines($path) }) {
    my @field = split /:/, $_, -1;
    $change->(\@field);
    $after .= join(':', @field) . "\n";
  }
  write_file($path, $after) if $after ne $before;
}

# Replaces a file in one rename; it keeps its rights and owner.
sub write_file {
  my ($path, $text, $mode) = @_;
  my ($target, $fresh) = ("$ROOT$path", "$ROOT$path.sarang");
  my @stat = stat $target;
  unlink $fresh;
  sysopen my $file, $fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600 or die "$path: $!\n";
  print {$file} $text or die "$path: $!\n";
  chown @stat[4, 5], $file if @stat && $> == 0;
  chmod $mode // (@stat ? $stat[2] & 07777 : 0644), $file;
  close $file or die "$path: $!\n";
  rename $fresh, $target or die "$path: $!\n";
}

1;
