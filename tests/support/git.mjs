// A real Git server over HTTP: git http-backend behind nginx and fcgiwrap, with basic authentication, as an ordinary user.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './host.mjs';
import { answers, freePort, Server } from './servers.mjs';

/** Runs git by itself, without anybody's configuration. */
export function git(cwd, ...args) {
  const env = { PATH: process.env.PATH, HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1', GIT_TERMINAL_PROMPT: '0', GIT_AUTHOR_NAME: 'Somebody', GIT_AUTHOR_EMAIL: 'somebody@example.org',
    GIT_COMMITTER_NAME: 'Somebody', GIT_COMMITTER_EMAIL: 'somebody@example.org', GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'safe.directory', GIT_CONFIG_VALUE_0: '*' };
  const done = spawnSync('git', args, { cwd, env, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (done.status !== 0) throw new Error(`git ${args.join(' ')}: ${done.stderr}`);
  return done.stdout.trim();
}

export class GitServer extends Server {
  constructor(t) { super(t, 'nobody'); }

  /** users: {name: password}. publicRead: fetching needs none of them. tls: {certificate, key}, paths. api: where /api/ goes, "http://127.0.0.1:1234".
   * packs: a shell script in the place of git pack-objects. */
  async start({ users = {}, publicRead = false, tls, api, packs } = this.settings ?? {}) {
    this.settings = { users, publicRead, tls, api, packs };
    this.port ??= await freePort();
    const path = name => join(this.folder, name);
    this.spawned('mkdir', ['-p', path('repos'), path('temp')]);
    writeFileSync(path('users'), Object.entries(users).map(([name, password]) => `${name}:{PLAIN}${password}\n`).join(''));
    if (packs) writeFileSync(path('packs'), packs, { mode: 0o755 });
    const backend = `
        fastcgi_pass unix:${path('cgi.socket')};
        fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;
        fastcgi_param GIT_PROJECT_ROOT ${path('repos')};
        fastcgi_param GIT_HTTP_EXPORT_ALL 1;
        fastcgi_param HOME /nonexistent;
        fastcgi_param GIT_CONFIG_COUNT ${packs ? 2 : 1};
        fastcgi_param GIT_CONFIG_KEY_1 uploadpack.packObjectsHook;
        fastcgi_param GIT_CONFIG_VALUE_1 ${path('packs')};
        fastcgi_param GIT_CONFIG_KEY_0 safe.directory;
        fastcgi_param GIT_CONFIG_VALUE_0 *;
        fastcgi_param PATH_INFO $uri;
        fastcgi_param QUERY_STRING $query_string;
        fastcgi_param REQUEST_METHOD $request_method;
        fastcgi_param CONTENT_TYPE $content_type;
        fastcgi_param CONTENT_LENGTH $content_length;
        fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;
        fastcgi_param REMOTE_USER $remote_user;
        fastcgi_param HTTP_GIT_PROTOCOL $http_git_protocol;`;
    const protect = 'auth_basic "git"; auth_basic_user_file users;';
    writeFileSync(path('nginx.conf'), `
daemon off; pid ${path('nginx.pid')}; error_log stderr warn; worker_processes 1;
events {}
http {
    access_log ${path('access.log')};
    client_body_temp_path ${path('temp')}; proxy_temp_path ${path('temp')}; fastcgi_temp_path ${path('temp')}; uwsgi_temp_path ${path('temp')}; scgi_temp_path ${path('temp')};
    client_max_body_size 0;
    server {
        listen 127.0.0.1:${this.port}${tls ? ' ssl' : ''};
        ${tls ? `ssl_certificate ${tls.certificate}; ssl_certificate_key ${tls.key};` : ''}
        location ~ /moved/ { return 302 /elsewhere/; }
        location ~ /forbidden/ { return 403; }
        location ~ /busy/ { return 503; }
        ${api ? `location /api/ { proxy_pass ${api}; }` : ''}
        ${publicRead ? `
        location ~ \\.git/(info/refs|git-upload-pack)$ {
            error_page 418 = @push;
            if ($args ~ git-receive-pack) { return 418; }
            ${backend}
        }
        location @push { ${protect} ${backend} }` : ''}
        location / { ${protect} ${backend} }
    }
}
`);
    this.cgi = spawn('/usr/sbin/fcgiwrap', ['-c', '2', '-s', `unix:${path('cgi.socket')}`], { ...this.as, cwd: this.folder, stdio: 'ignore', detached: true });
    this.cgiEnded = new Promise(done => this.cgi.on('exit', done));
    this.launch('/usr/sbin/nginx', ['-p', this.folder, '-c', path('nginx.conf')]);
    await until(async () => {
      if (this.child.over) throw new Error(`nginx did not start:\n${this.log}`);
      return existsSync(path('cgi.socket')) && answers(this.port);
    }, 'the start of nginx');
    return this;
  }

  spawned(program, args) {
    const done = spawnSync(program, args, { ...this.as, cwd: this.folder, encoding: 'utf8' });
    if (done.status !== 0) throw new Error(`${program}: ${done.stderr}`);
  }

  get url() { return `${this.settings.tls ? 'https' : 'http'}://127.0.0.1:${this.port}`; }

  path(name) { return join(this.folder, 'repos', `${name}.git`); }

  /** The requests that came, as "METHOD path status". */
  get requests() {
    return readFileSync(join(this.folder, 'access.log'), 'utf8').split('\n').filter(Boolean)
      .map(line => /"(\S+) (\S+) [^"]*" (\d+)/.exec(line)?.slice(1).join(' '));
  }

  /** A bare repository with files {path: content} on its branch. Returns its path. */
  make(name, { branch = 'main', files = { 'README.md': '# hello\n' } } = {}) {
    const bare = this.path(name);
    this.spawned('mkdir', ['-p', bare]);
    this.spawned('git', ['init', '-q', '--bare', `--initial-branch=${branch}`, bare]);
    if (Object.keys(files).length > 0) this.commit(name, branch, files, 'begin\n');
    return bare;
  }

  /** Adds a commit to a branch, which is made where it isn't there; by fast-import, without a checkout. Returns its id. */
  commit(name, branch, files, message = 'a change\n') {
    const bare = this.path(name);
    let parent = '';
    try { parent = `from ${git(bare, 'rev-parse', '--verify', '-q', `refs/heads/${branch}`)}\n`; } catch { /* a new one */ }
    const data = content => { const bytes = Buffer.from(content); return Buffer.concat([Buffer.from(`data ${bytes.length}\n`), bytes, Buffer.from('\n')]); };
    const input = Buffer.concat([Buffer.from(`commit refs/heads/${branch}\ncommitter Somebody <somebody@example.org> 1700000000 +0000\n`), data(message), Buffer.from(parent),
      ...Object.entries(files).flatMap(([path, content]) => [Buffer.from(`M 100644 inline ${path}\n`), data(content)])]);
    const done = spawnSync('git', ['fast-import', '--quiet', '--force'], { ...this.as, cwd: bare, input, encoding: 'utf8' });
    if (done.status !== 0) throw new Error(done.stderr);
    return git(bare, 'rev-parse', `refs/heads/${branch}`);
  }

  async close() {
    if (this.cgi) process.kill(-this.cgi.pid, 'SIGKILL'); // it has forked
    await this.cgiEnded;
    await super.close();
  }

  /** nginx ends its workers only when it is asked to. */
  async kill() {
    if (this.child && !this.child.over) this.child.kill('SIGTERM');
    await this.ended;
  }
}

export const startGit = (t, settings) => new GitServer(t).start(settings);
