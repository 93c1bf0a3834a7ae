// CloudFront Functions: 10 KB of JavaScript, a millisecond, no network. No engine fits in
// there; a list of networks and countries does, and the check of a clearance.
import { parse } from "./address.js";

/** What a function is to do, from first to last. */
export interface CloudFrontFunction {
  /** Networks and addresses that go on whatever follows, such as 203.0.113.0/24. */
  allow?: string[];
  /** Networks and addresses that are refused with 403. */
  block?: string[];
  /**
   * Countries that are refused, ISO 3166-1 alpha-2. They are read from CloudFront-Viewer-Country,
   * which a cache policy or an origin request policy of the behaviour must add: without it a
   * client's own header would be read.
   */
  blockCountries?: string[];
  /** Networks and addresses that need a clearance; others are not asked. ["0.0.0.0/0", "::/0"]: everybody. */
  challenge?: string[];
  /**
   * Challenges: where the page is, the cookie's name, the key's name in the function's
   * KeyValueStore (64 hexadecimal digits, the gate's own), and the risk that tickets are made for
   * and clearances must reach. Needed with challenge.
   */
  clearance?: { path?: string; cookie?: string; secret: string; risk?: number };
}

/** What CloudFront takes, in bytes. */
export const MOST_OF_A_FUNCTION = 10240;

/**
 * Writes the code of a CloudFront Function (runtime 2.0) for viewer requests. It takes off what
 * only the gate may say, and tells the origin X-Ipwarden-Ip and X-Ipwarden-Verdict. It throws
 * an Error that names every mistake, and with figures when the code is larger than CloudFront takes.
 */
export function cloudFrontFunction(rules: CloudFrontFunction): string {
  const bad: string[] = [];
  const list = (name: string, all: string[] = []) => all.map((text) => network(text) ?? (bad.push(`${name}: ${JSON.stringify(text)} is no network, such as 203.0.113.0/24`), "")).sort().join(" ");
  const allow = list("allow", rules.allow);
  const block = list("block", rules.block);
  const challenge = list("challenge", rules.challenge);
  for (const c of rules.blockCountries ?? []) if (!/^[A-Z]{2}$/.test(c)) bad.push(`blockCountries: ${JSON.stringify(c)} is no country, such as SE`);
  const clear = rules.clearance;
  const { path = "/.ipwarden/challenge", cookie = "ipwarden_clearance", secret = "", risk = 50 } = clear ?? {};
  if (challenge && !clear) bad.push("challenge needs clearance: { secret: \"the key's name in the KeyValueStore\" }");
  if (clear && (!/^\/[A-Za-z0-9._/-]+$/.test(path) || path[1] === "/")) bad.push("clearance.path is no path, such as /.ipwarden/challenge");
  if (clear && !/^[A-Za-z0-9._~-]+$/.test(cookie)) bad.push("clearance.cookie is no name of a cookie, such as ipwarden_clearance");
  if (clear && !/^[A-Za-z0-9._-]+$/.test(secret)) bad.push("clearance.secret is no name of a key, such as ipwarden_challenge_key");
  if (clear && !(Number.isInteger(risk) && risk >= 0 && risk <= 100)) bad.push("clearance.risk is not 0 to 100");
  if (bad.length > 0) throw new Error("cloudFrontFunction: " + bad.join("; "));
  const code = [
    challenge && "import cf from 'cloudfront';\nvar crypto=require('crypto'),kvs=cf.kvs();\n",
    COMMON, challenge && CHALLENGE,
    `async function handler(event){var q=event.request,h=q.headers,a=bits(event.viewer.ip);strip(h);if(!a)return refuse();`,
    allow && `if(!has(${JSON.stringify(allow)},a)){`,
    block && `if(has(${JSON.stringify(block)},a))return refuse();`,
    rules.blockCountries?.length && `var c=h['cloudfront-viewer-country'];if(c&&${JSON.stringify(" " + rules.blockCountries.join(" ") + " ")}.indexOf(' '+c.value+' ')>=0)return refuse();`,
    challenge && `if(q.uri!==${JSON.stringify(path)}&&has(${JSON.stringify(challenge)},a)){var k=Buffer.from(await kvs.get(${JSON.stringify(secret)}),'hex');if(k.length<32)return refuse();var n=net(a),g=check(q.cookies[${JSON.stringify(cookie)}],k,n,${risk});if(g!==1)return send(event,k,n,${risk},${JSON.stringify(path)},g===2);}`,
    allow && "}",
    `h['x-ipwarden-ip']={value:event.viewer.ip};h['x-ipwarden-verdict']={value:'allow'};return q;}\n`,
  ].filter(Boolean).join("");
  if (code.length > MOST_OF_A_FUNCTION) {
    throw new Error(`cloudFrontFunction: the code has ${code.length} bytes, and CloudFront takes ${MOST_OF_A_FUNCTION}; ` +
      `its lists have ${allow.length + block.length + challenge.length}. Name larger networks, or use Lambda@Edge`);
  }
  return code;
}

/**
 * A network as the function compares it: 4 or 6 and the first digits of the address in
 * hexadecimal; of a last digit whose bits do not all count, a letter from g on says which.
 */
function network(text: string): string | null {
  const [address = "", length, more] = text.split("/");
  const bytes = parse(address);
  const most = (bytes?.length ?? 0) * 8;
  const n = length === undefined ? most : /^(0|[1-9][0-9]{0,2})$/.test(length) ? +length : -1;
  if (!bytes || more !== undefined || n < 0 || n > most) return null;
  const hex = [...bytes].map((b) => (b + 256).toString(16).slice(1)).join("");
  const digits = (most === 32 ? "4" : "6") + hex.slice(0, n >> 2);
  const rest = n & 3;
  if (rest === 0) return digits;
  return digits + String.fromCharCode(101 + (1 << rest) + (parseInt(hex[n >> 2] as string, 16) >> (4 - rest)));
}

// The function's own code, in the words that its runtime has: no classes, no destructuring.

const COMMON = `function bits(t){t=t.replace(/^::ffff:(?=\\d+\\.)/i,'');var q=t.split('.');
if(/^(\\d{1,3}\\.){3}\\d{1,3}$/.test(t))return q.some(function(p){return p>255||p!==''+ +p})?'':'4'+q.map(function(p){return (256+ +p).toString(16).slice(1)}).join('');
if(!/^([0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}$/.test(t))return '';
var s=t.toLowerCase().split('::'),l=s[0]?s[0].split(':'):[],r=s[1]?s[1].split(':'):[],m=8-l.length-r.length;
if(s.length>2||(s.length===2?m<1:m!==0))return '';
var x=l.concat(Array(m).fill('0'),r).map(function(g){return ('000'+g).slice(-4)}).join('');
if(x.slice(0,4)==='2002')return '4'+x.slice(4,12);
if(x.slice(0,24)==='00000000000000000000ffff'||x.slice(0,24)==='0064ff9b0000000000000000')return '4'+x.slice(24);
if(x.slice(0,8)==='20010000')return '4'+(0xffffffff-parseInt(x.slice(24),16)+0x100000000).toString(16).slice(1);
return '6'+x}
function has(list,a){var all=list.split(' ');for(var i=0;i<all.length;i++){var e=all[i],n=e.length-1,c=e.charCodeAt(n)-103;
if(c<0){if(a.slice(0,n+1)===e)return true}
else if(a.slice(0,n)===e.slice(0,n)){var b=c<2?1:c<6?2:3;if(parseInt(a[n],16)>>(4-b)===c+2-(1<<b))return true}}return false}
function strip(h){Object.keys(h).forEach(function(k){var p=k.toLowerCase().replace(/[^a-z0-9]/g,'-');if(p.indexOf('x-ipwarden-')===0||p.indexOf('x-middleware-subrequest')===0)delete h[k]})}
function refuse(){return {statusCode:403,statusDescription:'Forbidden',headers:{'cache-control':{value:'no-store'},'content-type':{value:'application/problem+json'}},body:{encoding:'text',data:'{"type":"https://ipwarden.dev/problems/blocked","title":"Not allowed","status":403,"detail":"This request is not allowed from where it comes."}\\n'}}}
`;

const CHALLENGE = `function net(a){return a[0]==='4'?'04'+a.slice(1,7)+'0000000000':'06'+a.slice(1,17)}
function sign(k,b){return crypto.createHmac('sha256',k).update(b).digest().slice(0,16)}
function check(c,k,n,r){var all=c?c.multiValue||[c]:[],now=Date.now()/1000,got=0;
for(var i=0;i<all.length&&i<4;i++){var b=Buffer.from(all[i].value,'base64url');if(all[i].value.length!==68||b.length!==51||b[0]!==33)continue;
var t=sign(k,b.slice(0,35)),d=0;for(var j=0;j<16;j++)d|=t[j]^b[35+j];if(d)continue;
if(b.slice(17,26).toString('hex')===n&&b[26]>=r&&now<b.readUInt32BE(9)*4294967296+b.readUInt32BE(13))return 1;
if(now-b.readUInt32BE(5)<60)got=2}return got}
function send(e,k,n,r,p,again){var q=e.request,b=Buffer.alloc(36),now=Date.now(),to=q.uri,s=[];
for(var name in q.querystring){var v=q.querystring[name];(v.multiValue||[v]).forEach(function(x){s.push(name+'='+x.value)})}
if(s.length)to+='?'+s.join('&');if(to.length>2048)to='/';
b[0]=17;b[1]=again?1:0;crypto.createHash('sha256').update(e.context.requestId+now).digest().copy(b,2,0,16);
b.writeUInt32BE(Math.floor(now/4294967296),18);b.writeUInt32BE(now%4294967296,22);Buffer.from(n,'hex').copy(b,26);b[35]=r;
return {statusCode:302,statusDescription:'Found',headers:{'cache-control':{value:'no-store'},location:{value:p+'?t='+Buffer.concat([b,sign(k,b)]).toString('base64url')+'&to='+encodeURIComponent(to)}}}}
`;
