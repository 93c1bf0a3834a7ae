function bits(t){t=t.replace(/^::ffff:(?=\d+\.)/i,'');var q=t.split('.');
if(/^(\d{1,3}\.){3}\d{1,3}$/.test(t))return q.some(function(p){return p>255||p!==''+ +p})?'':'4'+q.map(function(p){return (256+ +p).toString(16).slice(1)}).join('');
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
function refuse(){return {statusCode:403,statusDescription:'Forbidden',headers:{'cache-control':{value:'no-store'},'content-type':{value:'application/problem+json'}},body:{encoding:'text',data:'{"type":"https://ipwarden.dev/problems/blocked","title":"Not allowed","status":403,"detail":"This request is not allowed from where it comes."}\n'}}}
