package Sarang::Seed;
# What a seed says, checked, and put where it belongs. Keys that are not ours are left alone, as cloud-init's are many.
use strict;
use warnings;
use Sarang::Account;
use Sarang::Network;
use Sarang::Yaml;

my %SHAPE = (
  instance_id => qr/^[A-Za-z0-9._:-]{1,128}$/,
  hostname => qr/^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9-]{1,63})*$/,
  timezone => qr/^[A-Za-z0-9_+-]{1,30}(?:\/[A-Za-z0-9_+-]{1,30}){0,2}$/,
);

# The files' texts -> { instance_id, hostname, timezone, account, cards }, the last two as Sarang::Account and Sarang::Network
# want them. network-config may be empty.
sub parse {
  my ($meta_text, $user_text, $network_text) = @_;
  my $meta = mapping_of('meta-data', $meta_text);
  die "user-data: does not begin with #cloud-config\n" if $user_text !~ /^#cloud-config\s*$/m || $user_text !~ /^#cloud-config/;
  my $user = mapping_of('user-data', $user_text);
  my %seed = (
    instance_id => text_of($meta, 'instance-id') // die("meta-data: no instance-id\n"),
    hostname => text_of($user, 'hostname') // text_of($meta, 'local-hostname'),
    timezone => text_of($user, 'timezone'),
  );
  for (sort keys %SHAPE) {
    die "$_ has a shape that is refused\n" if defined $seed{$_} && ($seed{$_} !~ $SHAPE{$_} || $seed{$_} =~ /\n/);
  }
  $seed{account} = account_of($user);
  $seed{cards} = $network_text =~ /\S/ ? Sarang::Network::parse(mapping_of('network-config', $network_text)) : [];
  return \%seed;
}

sub mapping_of {
  my ($file, $text) = @_;
  my $value = eval { Sarang::Yaml::parse($text) } // die "$file: $@";
  die "$file: is not a mapping\n" if ref $value ne 'HASH';
  return $value;
}

sub text_of {
  my ($map, $key) = @_;
  my $value = $map->{$key};
  die "$key is not a text\n" if ref $value;
  return defined $value && $value ne '' ? $value : undef;
}

# The person is the first user that is not cloud-init's word "default".
sub account_of {
  my ($user_data) = @_;
  my $users = $user_data->{users} || [];
  die "users is not a list\n" if ref $users ne 'ARRAY';
  my ($person) = grep { ref eq 'HASH' } @$users;
  $person //= {};
  my %account = (
    user => text_of($person, 'name'),
    name => text_of($person, 'gecos'),
    lang => text_of($person, 'lang') // text_of($user_data, 'locale'),
    password_hash => scalar password_hash($person, $user_data),
  );
  delete @account{ grep { !defined $account{$_} } keys %account };
  Sarang::Account::check($_, $account{$_}) for sort keys %account;
  my $keys = $person->{ssh_authorized_keys} || [];
  die "ssh_authorized_keys is not a list of texts\n" if ref $keys ne 'ARRAY' || grep { ref } @$keys;
  Sarang::Account::check('ssh_key', $_) for @$keys;
  $account{ssh_keys} = $keys if @$keys;
  return \%account;
}

# A hash, or a text that is hashed here, from the user or from chpasswd.users; none when the password is to be locked.
sub password_hash {
  my ($person, $user_data) = @_;
  return undef if (text_of($person, 'lock_passwd') // '') =~ /^(true|yes|on)$/i;
  my $hash = text_of($person, 'hashed_passwd') // text_of($person, 'passwd');
  my $plain = text_of($person, 'plain_text_passwd');
  my $chpasswd = ref $user_data->{chpasswd} eq 'HASH' ? $user_data->{chpasswd}{users} : undef;
  for (grep { ref eq 'HASH' } ref $chpasswd eq 'ARRAY' ? @$chpasswd : ()) {
    next if (text_of($_, 'name') // '') ne (text_of($person, 'name') // '');
    if ((text_of($_, 'type') // 'hash') eq 'text') { $plain = text_of($_, 'password') }
    else { $hash = text_of($_, 'password') }
  }
  return $hash // (defined $plain ? crypt($plain, '$6$' . salt() . '$') : undef);
}

sub salt {
  open my $random, '<:raw', '/dev/urandom' or die "/dev/urandom: $!\n";
  read $random, my $bytes, 16;
  my @letters = ('a' .. 'z', 'A' .. 'Z', 0 .. 9, '.', '/');
  return join '', map { $letters[ord($_) & 63] } split //, $bytes;
}

# Writes all of it under the root of Sarang::Account.
sub apply {
  my ($seed) = @_;
  set_hostname($seed->{hostname}) if defined $seed->{hostname};
  set_timezone($seed->{timezone}) if defined $seed->{timezone};
  Sarang::Network::apply($seed->{cards});
  return unless %{ $seed->{account} };
  my $lock = Sarang::Account::lock_accounts();
  Sarang::Account::apply($seed->{account});
}

sub set_hostname {
  my ($full) = @_;
  my ($short) = $full =~ /^([^.]+)/;
  my $names = $full eq $short ? $short : "$full $short";
  Sarang::Account::write_file('/etc/hostname', "$short\n");
  Sarang::Account::write_file('/etc/hosts', "127.0.0.1 localhost\n127.0.1.1 $names\n::1 localhost\n");
  return if $Sarang::Account::ROOT ne '';
  open my $kernel, '>', '/proc/sys/kernel/hostname' or return;
  print {$kernel} $short;
}

sub set_timezone {
  my ($zone) = @_;
  my $root = $Sarang::Account::ROOT;
  die "no time zone $zone on this machine\n" unless -f "$root/usr/share/zoneinfo/$zone";
  symlink "/usr/share/zoneinfo/$zone", "$root/etc/localtime.sarang" or die "/etc/localtime: $!\n";
  rename "$root/etc/localtime.sarang", "$root/etc/localtime" or die "/etc/localtime: $!\n";
  Sarang::Account::write_file('/etc/timezone', "$zone\n");
}

1;
