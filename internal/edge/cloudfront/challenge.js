function net(a){return a[0]==='4'?'04'+a.slice(1,7)+'0000000000':'06'+a.slice(1,17)}
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
